//! Every meter heard so far, for people to look at.

use crate::meter::Reading;
use metertap_decode::ert::{Commodity, Kind};
use std::collections::BTreeMap;

/// Meters remembered; beyond that new ones are only counted.
const MAX_METERS: usize = 10_000;

/// What is known of one meter and kind of message.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it measures.
    pub commodity: Commodity,
    /// ERT type (or what stands for it).
    pub meter_type: u8,
    /// Its newest counter.
    pub consumption: i64,
    /// How often it was heard.
    pub times: u64,
    /// Its newest signal.
    pub snr_db: f64,
    /// Where in the spectrum, newest.
    pub frequency_hz: Option<f64>,
    /// Against the centre of the window, newest.
    pub offset_hz: i64,
}

/// All meters heard, by id and kind.
#[derive(Clone, Debug, Default)]
pub struct MeterTable {
    meters: BTreeMap<(u32, Kind), Entry>,
    /// Readings in all.
    pub readings: u64,
    /// Readings of meters for which there was no room.
    pub crowded_out: u64,
}

impl MeterTable {
    /// Takes a reading into account.
    pub fn add(&mut self, reading: &Reading) {
        self.readings += 1;
        let message = &reading.message;
        let key = (message.id(), message.kind());
        if self.meters.len() >= MAX_METERS && !self.meters.contains_key(&key) {
            self.crowded_out += 1;
            return;
        }
        let times = self.meters.get(&key).map_or(0, |entry| entry.times);
        let entry = Entry {
            commodity: message.commodity(),
            meter_type: message.meter_type(),
            consumption: message.consumption(),
            times: times + 1,
            snr_db: reading.signal.snr_db,
            frequency_hz: reading.frequency_hz,
            offset_hz: reading.signal.offset_hz,
        };
        self.meters.insert(key, entry);
    }

    /// Puts an entry there.
    #[cfg(test)]
    pub fn insert(&mut self, key: (u32, Kind), entry: Entry) {
        self.meters.insert(key, entry);
    }

    /// In the order of ids.
    pub fn meters(&self) -> impl ExactSizeIterator<Item = (&(u32, Kind), &Entry)> {
        self.meters.iter()
    }
}
