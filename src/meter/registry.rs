//! Which meters are ours, and what a frame of theirs is.

use super::Home;
use crate::decode::ert::{Kind, Message, Refused, likely_kind};
use metertap_dsp::{Packet, Protocol};

/// The meters of this home, and the kinds of message wanted.
#[derive(Clone, Debug)]
pub struct Registry {
    home: Home,
    /// Those of the neighbours as well.
    all: bool,
    kinds: Vec<Kind>,
}

impl Registry {
    /// `all`: not only the meters of the home are wanted. `kinds`: which messages are.
    pub fn new(home: Home, all: bool, kinds: Vec<Kind>) -> Self {
        Registry { home, all, kinds }
    }

    /// Reads a packet as one message, or as none if its kind is not wanted or its meter is not ours.
    ///
    /// # Errors
    /// Why a frame is no message.
    pub fn interpret(&self, packet: &Packet) -> Result<Option<Message>, Refused> {
        let Some(kind) = self.kind_of(packet) else {
            return Ok(None);
        };
        let message = Message::parse(kind, packet.bytes())?;
        let meter = self.home.get(&message.id().to_string());
        match meter.and_then(|meter| meter.kind) {
            Some(wish) if wish != kind && wish.protocol() == packet.protocol => {
                Message::parse(wish, packet.bytes()).map(Some)
            }
            _ => Ok((self.all || meter.is_some()).then_some(message)),
        }
    }

    /// One frame, one kind: of those wanted the only one, or the likelier one.
    fn kind_of(&self, packet: &Packet) -> Option<Kind> {
        let mut wanted = self
            .kinds
            .iter()
            .copied()
            .filter(|kind| kind.protocol() == packet.protocol);
        let first = wanted.next()?;
        if wanted.next().is_none() {
            return Some(first);
        }
        Some(match packet.protocol {
            Protocol::Idm => likely_kind(packet.bytes()),
            // Every R900BCD counter is an R900 counter too; only the user can know.
            _ => Kind::R900,
        })
    }
}
