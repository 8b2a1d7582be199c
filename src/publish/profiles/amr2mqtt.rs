//! amr2mqtt: rtlamr's JSON line, newline included, on `readings/<id>/scm`, `/scmplus` and `/idm`; not retained, no status.

use crate::format::rtlamr_json;
use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::message::{BirthAndWill, Message};
use crate::publish::profiles::profile::Profile;
use jiff::Timestamp;
use metertap_decode::ert::Kind;

/// Profile of amr2mqtt.
pub struct Amr2mqtt {
    prefix: String,
}

impl Amr2mqtt {
    /// Creates the profile; amr2mqtt itself has the fixed prefix `readings`.
    pub fn new(prefix: &str) -> Self {
        Amr2mqtt {
            prefix: prefix.into(),
        }
    }
}

impl Profile for Amr2mqtt {
    fn birth_and_will(&self) -> BirthAndWill {
        BirthAndWill::default()
    }

    fn messages(&mut self, event: &ReadingEvent, _now: Timestamp) -> Vec<Message> {
        let Origin::Radio(reading) = &event.origin else {
            return Vec::new();
        };
        if !matches!(reading.message.kind(), Kind::Scm | Kind::ScmPlus | Kind::Idm) {
            return Vec::new();
        }
        let Some(line) = rtlamr_json(event) else {
            return Vec::new();
        };
        let topic = format!("{}/{}/{}", self.prefix, event.id, event.kind);
        vec![Message::reading(topic, format!("{line}\n"), false)]
    }
}
