//! Which meters are ours, and what a frame of theirs is.

use crate::meter::Meters;
use metertap_decode::ert::{ErtError, Kind, Message, likely_kind};
use metertap_dsp::{Packet, Protocol};
use std::sync::{PoisonError, RwLock};

/// The meters of this home, and the kinds of message wanted.
#[derive(Debug)]
pub struct FrameFilter {
    wish: RwLock<Wish>,
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Wish {
    home: Meters,
    /// Those of the neighbours as well.
    all: bool,
}

impl FrameFilter {
    /// `all`: not only the meters of the home are wanted. `kinds`: which messages are.
    pub fn new(home: Meters, all: bool, kinds: Vec<Kind>) -> Self {
        FrameFilter {
            wish: RwLock::new(Wish { home, all }),
            kinds,
        }
    }

    /// From now on, other meters are ours.
    pub fn change(&self, home: Meters, all: bool) {
        *self.wish.write().unwrap_or_else(PoisonError::into_inner) = Wish { home, all };
    }

    /// Reads a packet as one message, or as none if its kind is not wanted or its meter is not ours.
    ///
    /// # Errors
    /// Why a frame is no message.
    pub fn interpret(&self, packet: &Packet) -> Result<Option<Message>, ErtError> {
        let Some(kind) = self.kind_of(packet) else {
            return Ok(None);
        };
        let message = Message::parse(kind, packet.bytes())?;
        let wish = self.wish.read().unwrap_or_else(PoisonError::into_inner);
        let Some(meter) = wish.home.get(&message.id().to_string()) else {
            return Ok(wish.all.then_some(message));
        };
        let wanted = meter.kind_of(kind);
        if !meter.wants(wanted.topic_name()) {
            return Ok(None);
        }
        if wanted == kind {
            return Ok(Some(message));
        }
        Message::parse(wanted, packet.bytes()).map(Some)
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

/// Types of messages that are decoded where neither the configuration nor the message decides: each frame once. Only a user
/// can tell an R900BCD from an R900.
pub fn default_kinds() -> Vec<Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::R900Bcd)
        .collect()
}
