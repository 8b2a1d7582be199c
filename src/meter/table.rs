//! Table of the radio meters received so far, for the terminal and `metertap find`.

use crate::meter::{RadioTelegram, Reading};
use metertap_decode::ert::{Commodity, Kind};
use metertap_decode::report::Value;
use metertap_decode::wmbus::{Decoder, KeyRing, report};
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

/// Newest telegram of one meter of wireless M-Bus.
#[derive(Clone, Debug, PartialEq)]
pub struct TelegramSummary {
    /// Mode in which it was sent.
    pub mode: String,
    /// Maker and medium.
    pub what: String,
    /// Current total with its unit, as the meter sends it.
    pub total: Option<(f64, String)>,
    /// State of the encryption without a key.
    pub security: &'static str,
    /// Telegrams received.
    pub receptions: u64,
    /// Newest signal-to-noise ratio in dB.
    pub snr_db: f64,
    /// Newest carrier frequency in Hz, if the center frequency is known.
    pub frequency_hz: Option<f64>,
    /// Newest carrier frequency relative to the center of the window, in Hz.
    pub offset_hz: i64,
}

/// Fields that are a total, the first one that a meter sends.
const TOTALS: [&str; 3] = ["volume", "energy", "heat_cost_units"];

impl TelegramSummary {
    /// Returns a telegram's meter number and summary; `None` if it cannot be taken apart.
    fn of(telegram: &RadioTelegram) -> Option<(String, Self)> {
        let decoded = Decoder::default()
            .decode(&telegram.bytes, &KeyRing::default())
            .ok()?;
        let reading = report(&decoded).reading;
        let total = TOTALS.iter().find_map(|name| match reading.get(name)? {
            Value::Quantity(total) => Some((total.to_f64(), format!("{} {}", total.value, total.unit))),
            _ => None,
        });
        let summary = TelegramSummary {
            mode: telegram.mode.to_string(),
            what: format!("{} {}", decoded.meter.letters(), decoded.medium),
            total,
            security: decoded.security.name(),
            receptions: 1,
            snr_db: telegram.signal.snr_db,
            frequency_hz: telegram.frequency_hz,
            offset_hz: telegram.signal.offset_hz,
        };
        Some((decoded.meter.number(), summary))
    }
}

/// Newest readings by meter id and message type, and newest telegrams by meter number.
#[derive(Clone, Debug, Default)]
pub struct MeterTable {
    meters: BTreeMap<(u32, Kind), MeterSummary>,
    telegrams: BTreeMap<String, TelegramSummary>,
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

    /// Adds a telegram. Values that a meter has sent before stay while it sends others.
    pub fn add_telegram(&mut self, telegram: &RadioTelegram) {
        self.readings += 1;
        let Some((number, mut summary)) = TelegramSummary::of(telegram) else {
            return;
        };
        if let Some(earlier) = self.telegrams.get(&number) {
            summary.receptions += earlier.receptions;
            summary.total = summary.total.or_else(|| earlier.total.clone());
        } else if self.telegrams.len() >= MAX_METERS {
            return;
        }
        self.telegrams.insert(number, summary);
    }

    /// Inserts a row.
    #[cfg(test)]
    pub fn insert(&mut self, key: (u32, Kind), summary: MeterSummary) {
        self.meters.insert(key, summary);
    }

    /// Telegrams in the order of the meters' numbers.
    pub fn telegrams(&self) -> impl ExactSizeIterator<Item = (&String, &TelegramSummary)> {
        self.telegrams.iter()
    }

    /// Number of meters.
    pub fn count(&self) -> usize {
        self.meters.len() + self.telegrams.len()
    }

    /// Readings in the order of meter ids.
    pub fn meters(&self) -> impl ExactSizeIterator<Item = (&(u32, Kind), &MeterSummary)> {
        self.meters.iter()
    }
}
