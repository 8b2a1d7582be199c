//! Meters of a scenario, as written in TOML.

use serde::Deserialize;

/// A meter of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedMeter {
    /// Message type: scm, scmplus, idm, netidm, r900 or r900bcd.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id.
    pub id: u32,
    /// ERT type; SCM+: the whole endpoint type; R900: the byte that rtlamr calls unkn1.
    #[serde(default = "electric")]
    pub ert_type: u8,
    /// Counter in the first transmission; NetIDM: energy taken from the grid.
    #[serde(default)]
    pub consumption: u32,
    /// NetIDM: energy fed into the grid.
    #[serde(default)]
    pub generation: u32,
    /// Growth of the counter from one transmission to the next.
    #[serde(default = "one")]
    pub step: u32,
    /// First transmission, s.
    pub at: f64,
    /// Time between transmissions, s; without it the meter sends once.
    pub every: Option<f64>,
    /// Carrier relative to the center.
    #[serde(default)]
    pub offset_hz: f64,
    /// Use another carrier, chosen at random, for each transmission.
    #[serde(default)]
    pub hop: bool,
    /// Power of the carrier while it is on, relative to all noise in the window.
    #[serde(default = "default_snr")]
    pub snr_db: f64,
    /// Error of the chip clock.
    #[serde(default)]
    pub clock_ppm: f64,
    /// Training bits before the frame.
    #[serde(default)]
    pub training: usize,
    /// Shortening of pulses, µs.
    #[serde(default)]
    pub short_us: f64,
    /// Length of edges, µs.
    #[serde(default)]
    pub edge_us: f64,
    /// Drift of the carrier.
    #[serde(default)]
    pub drift_hz_per_s: f64,
}

fn electric() -> u8 {
    7
}

fn one() -> u32 {
    1
}

fn default_snr() -> f64 {
    10.0
}
