//! Part of the configuration that says which meters, receivers and ports belong to this installation.

use crate::meter::Meters;
use crate::publish::homeassistant::state::{RADIO, WIRE};
use crate::publish::message::topic_id;
use std::collections::BTreeSet;

/// Part of the configuration that says what belongs to this installation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Home {
    /// Configured meters.
    pub meters: Meters,
    /// Readings of radio meters that are not in the configuration are published, too.
    pub publishes_all: bool,
    /// Names of all receivers and ports.
    pub names: BTreeSet<String>,
    /// Names of those that are announced: not recordings, which end.
    pub receivers: BTreeSet<String>,
    /// Names of the ports.
    pub ports: BTreeSet<String>,
}

impl Home {
    /// Configured meter by its id as in topics.
    pub fn meter(&self, key: &str) -> Option<&str> {
        self.meters
            .iter()
            .map(|(id, _)| id)
            .find(|id| topic_id(id) == key)
    }

    /// Returns whether readings of a meter come from `source` or, by radio, at all.
    pub fn has_source(&self, key: &str, source: &str, has_unknown: bool) -> bool {
        match source {
            RADIO => self.meter(key).is_some() || (self.publishes_all && has_unknown),
            wire => wire
                .strip_prefix(WIRE)
                .is_some_and(|port| self.ports.contains(port)),
        }
    }
}
