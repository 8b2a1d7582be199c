//! Tuning error of a receiver, from the carriers of wireless M-Bus: each meter has its own error, and all have that of the receiver.

use metertap_dsp::wmbus::Frame;
use std::collections::BTreeMap;
use std::fmt;

/// Meters remembered; a street has some hundreds.
const MAX_METERS: usize = 1000;
/// Bytes of the address, behind length and C field.
const ADDRESS: std::ops::Range<usize> = 2..10;

/// Offsets of the carriers from their channels, by meter.
#[derive(Clone, Debug, Default)]
pub struct TuningErrors(BTreeMap<[u8; 8], (f64, f64)>);

/// Median over all meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuningError {
    /// Carriers relative to their channels, in Hz.
    pub offset_hz: f64,
    /// The same in parts per million of the frequency.
    pub ppm: f64,
    /// Number of meters.
    pub meters: usize,
}

impl TuningErrors {
    /// Adds a frame.
    pub fn add(&mut self, frame: &Frame) {
        let Some(address) = frame.bytes().get(ADDRESS).and_then(|bytes| bytes.try_into().ok()) else {
            return;
        };
        let address: [u8; 8] = address;
        if self.0.len() < MAX_METERS || self.0.contains_key(&address) {
            let signal = &frame.signal;
            self.0.insert(address, (signal.offset_hz, signal.carrier_hz));
        }
    }

    /// Returns the median; `None` without a meter.
    pub fn median(&self) -> Option<TuningError> {
        let mut all: Vec<(f64, f64)> = self.0.values().copied().collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (offset_hz, carrier_hz) = *all.get(all.len() / 2)?;
        Some(TuningError {
            offset_hz,
            ppm: offset_hz / carrier_hz * 1e6,
            meters: all.len(),
        })
    }
}

impl fmt::Display for TuningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "carriers {:+.1} kHz ({:+.0} ppm) beside their channels, median of {} meter{}",
            self.offset_hz / 1e3,
            self.ppm,
            self.meters,
            if self.meters == 1 { "" } else { "s" }
        )
    }
}
