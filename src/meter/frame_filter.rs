//! Selects which radio frames are decoded, and as which message type.

use crate::meter::Meters;
use metertap_decode::ert::{ErtError, Kind, Message, likely_kind};
use metertap_dsp::wmbus::Frame;
use metertap_dsp::{Packet, Protocol};
use std::sync::{PoisonError, RwLock};

/// Selection by meter and message type; shared by all receivers and replaced when the configuration is reloaded.
#[derive(Debug)]
pub struct FrameFilter {
    selection: RwLock<Selection>,
    /// Message types to decode.
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Selection {
    /// Configured meters.
    meters: Meters,
    /// Decode meters that are not configured as well.
    accepts_unlisted: bool,
}

impl FrameFilter {
    /// Selects messages of `kinds`, from configured meters or, with `accepts_unlisted`, from all.
    pub fn new(meters: Meters, accepts_unlisted: bool, kinds: Vec<Kind>) -> Self {
        FrameFilter {
            selection: RwLock::new(Selection {
                meters,
                accepts_unlisted,
            }),
            kinds,
        }
    }

    /// Replaces the selection of meters.
    pub fn change(&self, meters: Meters, accepts_unlisted: bool) {
        *self.selection.write().unwrap_or_else(PoisonError::into_inner) = Selection {
            meters,
            accepts_unlisted,
        };
    }

    /// Decodes a packet; `None` if its message type or its meter is not selected.
    ///
    /// # Errors
    /// If the frame passed its check but is no valid message.
    pub fn decode(&self, packet: &Packet) -> Result<Option<Message>, ErtError> {
        match self.kind_of(packet) {
            Some(kind) => self.decode_as(kind, packet.bytes()),
            None => Ok(None),
        }
    }

    /// Decodes a frame that was sent by FSK; `None` if its message type or its meter is not selected, or if it is wireless M-Bus.
    ///
    /// # Errors
    /// As [`decode`](FrameFilter::decode).
    pub fn decode_fsk(&self, frame: &Frame) -> Result<Option<Message>, ErtError> {
        match Kind::of_mode(frame.mode).filter(|kind| self.kinds.contains(kind)) {
            Some(kind) => self.decode_as(kind, frame.bytes()),
            None => Ok(None),
        }
    }

    fn decode_as(&self, kind: Kind, bytes: &[u8]) -> Result<Option<Message>, ErtError> {
        let message = Message::parse(kind, bytes)?;
        let selection = self.selection.read().unwrap_or_else(PoisonError::into_inner);
        let Some(meter) = selection.meters.get(&message.id().to_string()) else {
            return Ok(selection.accepts_unlisted.then_some(message));
        };
        let configured = meter.resolve_kind(kind);
        if !meter.accepts_type(configured.topic_name()) {
            return Ok(None);
        }
        if configured == kind {
            return Ok(Some(message));
        }
        Message::parse(configured, bytes).map(Some)
    }

    /// Message type of a packet. Two types may share a frame (IDM and NetIDM, R900 and R900BCD): if both are selected,
    /// the likelier one; `None` if neither is.
    fn kind_of(&self, packet: &Packet) -> Option<Kind> {
        let mut selected = self
            .kinds
            .iter()
            .copied()
            .filter(|kind| kind.protocol() == Some(packet.protocol));
        let first = selected.next()?;
        if selected.next().is_none() {
            return Some(first);
        }
        Some(match packet.protocol {
            Protocol::Idm => likely_kind(packet.bytes()),
            // Every R900BCD counter is a valid R900 counter too; only the user can know.
            _ => Kind::R900,
        })
    }
}

/// Message types decoded by default: all but R900BCD, whose frames cannot be distinguished from R900's.
pub fn default_kinds() -> Vec<Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::R900Bcd)
        .collect()
}
