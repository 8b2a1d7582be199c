//! Table of the radio meters received so far, for the terminal and `metertap find`.

use crate::meter::Reading;
use metertap_decode::ert::{Commodity, Kind};
use std::collections::BTreeMap;

/// Meters in the table; readings of further ones are only counted.
const MAX_METERS: usize = 10_000;

/// Newest reading of one meter and message type.
#[derive(Clone, Debug, PartialEq)]
pub struct MeterSummary {
    /// Commodity by the meter's type.
    pub commodity: Commodity,
    /// ERT type; for R900, the byte that rtlamr calls `Unkn1`.
    pub meter_type: u8,
    /// Newest counter; `None` if the transmitter says that it has no reading.
    pub consumption: Option<i64>,
    /// Messages received.
    pub receptions: u64,
    /// Newest signal-to-noise ratio in dB.
    pub snr_db: f64,
    /// Margin of the newest message, if it was received because it was expected.
    pub margin_db: Option<f64>,
    /// Newest carrier frequency in Hz, if the center frequency is known.
    pub frequency_hz: Option<f64>,
    /// Newest carrier frequency relative to the center of the window, in Hz.
    pub offset_hz: i64,
}

/// Newest readings by meter id and message type.
#[derive(Clone, Debug, Default)]
pub struct MeterTable {
    meters: BTreeMap<(u32, Kind), MeterSummary>,
    /// Readings of all meters.
    pub readings: u64,
}

impl MeterTable {
    /// Adds a reading.
    pub fn add(&mut self, reading: &Reading) {
        self.readings += 1;
        let message = &reading.message;
        let key = (message.id(), message.kind());
        if self.meters.len() >= MAX_METERS && !self.meters.contains_key(&key) {
            return;
        }
        let earlier = self.meters.get(&key).map_or(0, |meter| meter.receptions);
        let summary = MeterSummary {
            commodity: message.commodity(),
            meter_type: message.meter_type(),
            consumption: (!message.lacks_reading()).then(|| message.consumption()),
            receptions: earlier + 1,
            snr_db: reading.signal.snr_db,
            margin_db: reading.signal.margin_db,
            frequency_hz: reading.frequency_hz,
            offset_hz: reading.signal.offset_hz,
        };
        self.meters.insert(key, summary);
    }

    /// Inserts a row.
    #[cfg(test)]
    pub fn insert(&mut self, key: (u32, Kind), summary: MeterSummary) {
        self.meters.insert(key, summary);
    }

    /// Rows in the order of meter ids.
    pub fn meters(&self) -> impl ExactSizeIterator<Item = (&(u32, Kind), &MeterSummary)> {
        self.meters.iter()
    }
}
