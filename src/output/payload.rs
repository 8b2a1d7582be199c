//! Contents of what an output sends for a reading.

use crate::format::smartmeter2mqtt::telegram_object;
use crate::format::{native, rtlamr_json};
use crate::meter::event::ReadingEvent;
use serde::Deserialize;
use std::borrow::Cow;

/// Format of the object of a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// metertap's own: one per reading.
    #[default]
    Metertap,
    /// rtlamr's JSON line: one per reading of a radio meter.
    Rtlamr,
    /// smartmeter2mqtt's: one per P1 telegram.
    Smartmeter2mqtt,
}

impl Payload {
    /// Returns the object of a reading on one line, if the format has one for it.
    pub fn line(self, event: &ReadingEvent) -> Option<Cow<'_, str>> {
        match self {
            Payload::Metertap => Some(native::json(event).into()),
            Payload::Rtlamr => rtlamr_json(event).map(Cow::Owned),
            Payload::Smartmeter2mqtt => telegram_object(event.telegram()?).map(Cow::Owned),
        }
    }
}
