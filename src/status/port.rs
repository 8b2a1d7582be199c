//! Counters of a port.

use serde::Serialize;
use std::collections::BTreeMap;

/// Reports and errors of a port since its start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PortCounters {
    /// Reports decoded.
    pub reports: u64,
    /// Errors by kind.
    #[serde(rename = "troubles")]
    pub errors: BTreeMap<&'static str, u64>,
}
