//! amr2mqtt: `readings/<id>/scm`, `/scmplus` and `/idm`, rtlamr's line with its end, not retained, and nothing else.

use crate::format::rtlamr_json;
use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::mqtt::{BirthAndWill, Message};
use crate::publish::profiles::Profile;
use metertap_decode::ert::Kind;

/// As amr2mqtt.
pub struct Amr2mqtt {
    prefix: String,
}

impl Amr2mqtt {
    /// Under `prefix`, which it could not change.
    pub fn new(prefix: &str) -> Self {
        Amr2mqtt {
            prefix: prefix.into(),
        }
    }
}

impl Profile for Amr2mqtt {
    fn presence(&self) -> BirthAndWill {
        BirthAndWill::default()
    }

    fn say(&mut self, told: &ReadingEvent) -> Vec<Message> {
        let Origin::Radio(reading) = &told.origin else {
            return Vec::new();
        };
        if !matches!(reading.message.kind(), Kind::Scm | Kind::ScmPlus | Kind::Idm) {
            return Vec::new();
        }
        let Some(line) = rtlamr_json(told) else {
            return Vec::new();
        };
        let topic = format!("{}/{}/{}", self.prefix, told.id, told.kind);
        vec![Message::reading(topic, format!("{line}\n"), false)]
    }
}
