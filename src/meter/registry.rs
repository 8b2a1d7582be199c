//! Which meters are ours, and what a frame of theirs is.

use crate::decode::ert::{Kind, Message, Refused, likely_kind};
use metertap_dsp::{Packet, Protocol};
use std::collections::HashMap;

/// What the user said of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// The kind that its frames are, where the air leaves it open (IDM or NetIDM, R900 or R900BCD).
    pub kind: Option<Kind>,
}

/// The meters of this home, and the kinds of message wanted.
#[derive(Clone, Debug)]
pub struct Registry {
    meters: HashMap<u32, Meter>,
    kinds: Vec<Kind>,
}

impl Registry {
    /// `meters` empty: every meter is ours. `kinds`: which messages are wanted.
    pub fn new(meters: HashMap<u32, Meter>, kinds: Vec<Kind>) -> Self {
        Registry { meters, kinds }
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
        match self.meters.get(&message.id()).and_then(|meter| meter.kind) {
            Some(wish) if wish != kind && wish.protocol() == packet.protocol => {
                Message::parse(wish, packet.bytes()).map(Some)
            }
            _ => Ok(self.is_ours(message.id()).then_some(message)),
        }
    }

    fn is_ours(&self, id: u32) -> bool {
        self.meters.is_empty() || self.meters.contains_key(&id)
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
