//! Rows of the table: one for each meter, whatever it sends.

use crate::meter::table::{MeterSummary, MeterTable, TelegramSummary};
use metertap_decode::ert::Kind;
use std::cmp::Ordering;

/// Number of columns.
pub const COLUMNS: usize = 7;

/// Row: its text, and the numbers by which it is sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Text of each column.
    pub cells: [String; COLUMNS],
    /// Numbers of the columns from `consumption` on; none sorts first.
    numbers: [f64; 4],
}

/// First column with a number.
pub const FIRST_NUMERIC: usize = COLUMNS - 4;

impl Row {
    /// Compares two rows by a column, and by id where they are equal.
    pub fn compare(&self, other: &Self, column: usize) -> Ordering {
        let by_id = || {
            let (id, other) = (&self.cells[0], &other.cells[0]);
            id.len().cmp(&other.len()).then_with(|| id.cmp(other))
        };
        let order = match column {
            0 => by_id(),
            column if column < FIRST_NUMERIC => self.cells[column].cmp(&other.cells[column]),
            column => {
                let i = column - FIRST_NUMERIC;
                self.numbers[i].total_cmp(&other.numbers[i])
            }
        };
        order.then_with(by_id)
    }
}

/// Returns the rows of a table, those of ERT meters in front.
pub fn rows(table: &MeterTable) -> Vec<Row> {
    let readings = table.meters().map(|(key, meter)| of_reading(key, meter));
    let telegrams = table
        .telegrams()
        .map(|(number, meter)| of_telegram(number, meter));
    readings.chain(telegrams).collect()
}

fn of_reading(&(id, kind): &(u32, Kind), meter: &MeterSummary) -> Row {
    let cells = [
        id.to_string(),
        kind.to_string(),
        format!("{} ({})", meter.commodity, meter.meter_type),
        meter
            .consumption
            .map_or_else(|| "-".into(), |counts| counts.to_string()),
        meter.receptions.to_string(),
        match meter.margin_db {
            Some(margin_db) => format!("{:.1} dB, expected +{margin_db:.1}", meter.snr_db),
            None => format!("{:.1} dB", meter.snr_db),
        },
        frequency(meter.frequency_hz, meter.offset_hz),
    ];
    Row {
        cells,
        numbers: [
            meter
                .consumption
                .map_or(f64::NEG_INFINITY, |counts| counts as f64),
            meter.receptions as f64,
            meter.snr_db,
            meter.frequency_hz.unwrap_or(meter.offset_hz as f64),
        ],
    }
}

fn of_telegram(number: &str, meter: &TelegramSummary) -> Row {
    let cells = [
        number.to_owned(),
        meter.mode.clone(),
        meter.what.clone(),
        match &meter.total {
            Some((_, text)) => text.trim_end().to_owned(),
            // The reason why there is no value, if encryption is it.
            None => meter.security.to_owned(),
        },
        meter.receptions.to_string(),
        format!("{:.1} dB", meter.snr_db),
        frequency(meter.frequency_hz, meter.offset_hz),
    ];
    Row {
        cells,
        numbers: [
            meter
                .total
                .as_ref()
                .map_or(f64::NEG_INFINITY, |(total, _)| *total),
            meter.receptions as f64,
            meter.snr_db,
            meter.frequency_hz.unwrap_or(meter.offset_hz as f64),
        ],
    }
}

fn frequency(frequency_hz: Option<f64>, offset_hz: i64) -> String {
    match frequency_hz {
        Some(hz) => format!("{:.3} MHz", hz / 1e6),
        None => format!("{:+} kHz", offset_hz / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{RadioTelegram, TelegramSignal};
    use metertap_decode::wmbus::Address;
    use metertap_decode::wmbus::encode::{Protection, Sender};
    use metertap_dsp::wmbus::{Format, Mode};

    /// Telegram of water meter 123456nn, plain or encrypted.
    fn telegram(number: u8, protection: Protection, records: &[u8]) -> RadioTelegram {
        let sender = Sender {
            radio: Address {
                manufacturer: 0x0443,
                identification: [number, 0x56, 0x34, 0x12],
                version: 1,
                device_type: 7,
            },
            meter: None,
            access_number: 1,
            status: 0,
            protection,
        };
        RadioTelegram {
            time: "2026-01-15T12:00:00Z".parse().unwrap(),
            offset: 0,
            receiver: "roof".into(),
            frequency_hz: Some(868.95e6),
            mode: Mode::T1,
            format: Some(Format::A),
            bytes: sender.telegram(records).unwrap(),
            signal: TelegramSignal {
                offset_hz: 0,
                channel_offset_hz: 0,
                snr_db: 12.5,
                level_dbfs: -20.0,
                corrected: 0,
                deviation_hz: 50_000,
                chip_rate_hz: 100_000,
            },
        }
    }

    #[test]
    fn a_meter_that_sends_telegrams_has_a_row_with_its_last_total_or_the_reason_why_there_is_none() {
        let key = "000102030405060708090A0B0C0D0E0F".parse().unwrap();
        let mut table = MeterTable::default();
        table.add_telegram(&telegram(2, Protection::Mode5 { key }, &[0x04, 0x13, 1, 0, 0, 0]));
        table.add_telegram(&telegram(1, Protection::None, &[0x04, 0x13, 0xD2, 0x04, 0, 0]));
        table.add_telegram(&telegram(1, Protection::None, &[0x02, 0x5A, 0xD7, 0]));
        let cells: Vec<String> = rows(&table).iter().map(|row| row.cells.join(" | ")).collect();
        assert_eq!(
            cells,
            [
                "12345601 | T1 | ABC water | 1.234 m3 | 2 | 12.5 dB | 868.950 MHz",
                "12345602 | T1 | ABC water | no_key | 1 | 12.5 dB | 868.950 MHz",
            ]
        );
        assert_eq!((table.count(), table.readings), (2, 3));
    }
}
