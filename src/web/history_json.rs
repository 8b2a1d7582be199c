//! Objects of the API for usage over time.

use serde::Serialize;
use std::collections::BTreeMap;

/// Usage of a meter.
#[derive(Serialize)]
pub struct HistoryJson {
    /// By type and counter.
    pub types: BTreeMap<String, BTreeMap<String, CounterHistoryJson>>,
}

/// Usage of one counter.
#[derive(Serialize)]
pub struct CounterHistoryJson {
    /// Unit of the values.
    pub unit: String,
    /// Seconds since 1970, and the value of the step or period that begins then.
    pub points: Vec<(i64, f64)>,
    /// Share of the hours of each period that are measured, from 0 to 1: the others are unknown, or estimates in a pause between
    /// two readings. Empty for steps.
    pub coverage: Vec<f64>,
    /// Cost of each period, with standing charges; null where there is no price, negative for a credit. Empty for steps.
    pub cost: Vec<Option<f64>>,
    /// Share of the known hours of each period whose price is known, from 0 to 1: `cost` is that of these. Empty if it is complete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priced: Vec<f64>,
    /// Currency of `cost`, of a counter with a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}
