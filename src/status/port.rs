//! Counters of a port.

use serde::Serialize;
use std::collections::BTreeMap;

/// What a port has heard so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PortCounters {
    /// Reports.
    pub reports: u64,
    /// Troubles by kind.
    pub troubles: BTreeMap<&'static str, u64>,
}
