//! What an output says of a reading.

use crate::format::smartmeter2mqtt::telegram_object;
use crate::format::{native, rtlamr_json};
use crate::meter::event::ReadingEvent;
use serde::Deserialize;
use std::borrow::Cow;

/// Whose objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Ours: one a reading.
    #[default]
    Metertap,
    /// rtlamr's line.
    Rtlamr,
    /// smartmeter2mqtt's: one a P1 telegram.
    Smartmeter2mqtt,
}

impl Payload {
    /// The object of a reading, as one line; nothing where it has none.
    pub fn of(self, told: &ReadingEvent) -> Option<Cow<'_, str>> {
        match self {
            Payload::Metertap => Some(native::json(told).into()),
            Payload::Rtlamr => rtlamr_json(told).map(Cow::Owned),
            Payload::Smartmeter2mqtt => telegram_object(told.telegram()?).map(Cow::Owned),
        }
    }
}
