//! Interface of a profile.

use crate::meter::event::ReadingEvent;
use crate::publish::message::{BirthAndWill, Message};
use jiff::Timestamp;
use std::time::Instant;

/// Turns readings into messages.
pub trait Profile: Send {
    /// Messages tied to the life of a connection.
    fn birth_and_will(&self) -> BirthAndWill;

    /// Messages published once, before any reading.
    fn initial_messages(&self) -> Vec<Message> {
        Vec::new()
    }

    /// Client id of the program replaced, if it had a fixed one.
    fn client_id(&self) -> Option<String> {
        None
    }

    /// Messages for a reading; `now` is the time of publication.
    fn messages(&mut self, event: &ReadingEvent, now: Timestamp) -> Vec<Message>;

    /// Messages that are due by time; called several times a second.
    fn due(&mut self, _now: Instant) -> Vec<Message> {
        Vec::new()
    }

    /// Messages that were held back for later; called at the end.
    fn flush(&mut self) -> Vec<Message> {
        Vec::new()
    }
}
