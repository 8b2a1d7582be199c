//! A table of meters on a terminal.

mod live;
mod order;

pub use live::Live;

use crate::meter::table::{Entry, MeterTable};
use metertap_decode::ert::Kind;

const HEADINGS: [&str; 7] = [
    "id",
    "type",
    "commodity",
    "consumption",
    "heard",
    "SNR",
    "frequency",
];
const WIDTHS: [u16; 7] = [10, 8, 13, 12, 6, 8, 12];

/// The whole table as text.
pub fn text(heard: &MeterTable) -> String {
    let line = |cells: [String; 7]| {
        let mut line = String::new();
        for (i, (cell, width)) in cells.into_iter().zip(WIDTHS).enumerate() {
            let width = usize::from(width);
            // Numbers stand right, words left.
            let padded = if matches!(i, 1 | 2) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            };
            line.push_str(&padded);
            line.push_str("  ");
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(HEADINGS.map(str::to_owned));
    for (key, entry) in heard.meters() {
        text += &line(cells(key, entry));
    }
    text + &format!("{} meters, {} readings\n", heard.meters().len(), heard.readings)
}

fn cells(&(id, kind): &(u32, Kind), entry: &Entry) -> [String; 7] {
    let place = match entry.frequency_hz {
        Some(hz) => format!("{:.3} MHz", hz / 1e6),
        None => format!("{:+} kHz", entry.offset_hz / 1000),
    };
    [
        id.to_string(),
        kind.to_string(),
        format!("{} ({})", entry.commodity, entry.meter_type),
        entry.consumption.to_string(),
        entry.times.to_string(),
        format!("{:.1} dB", entry.snr_db),
        place,
    ]
}
