//! State of the live table that keys control: sorting, filter, pause.

use crate::meter::table::{MeterSummary, MeterTable};
use crate::terminal::{HEADINGS, cells};
use metertap_decode::ert::Kind;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cmp::Ordering;

/// First of the columns that are sorted in descending order first.
const FIRST_NUMERIC: usize = 3;

/// Sorting, filter and pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableControls {
    /// Index of the column to sort by.
    pub column: usize,
    /// Largest first.
    pub is_descending: bool,
    /// Text that rows must contain, ignoring case.
    pub filter: String,
    /// Keys are added to the filter.
    pub is_editing_filter: bool,
    /// The table is not updated.
    pub is_paused: bool,
    /// The user pressed `q` or Ctrl-C.
    pub quit_requested: bool,
}

impl TableControls {
    /// Handles a key.
    pub fn press(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => self.quit_requested = true,
            KeyCode::Esc => (self.is_editing_filter, self.filter) = (false, String::new()),
            KeyCode::Enter => self.is_editing_filter = false,
            KeyCode::Backspace if self.is_editing_filter => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.is_editing_filter && !is_control => self.filter.push(letter),
            KeyCode::Char('q') => self.quit_requested = true,
            KeyCode::Char('/') => self.is_editing_filter = true,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('r') => self.is_descending = !self.is_descending,
            KeyCode::Char('s') => {
                self.column = (self.column + 1) % HEADINGS.len();
                self.is_descending = self.column >= FIRST_NUMERIC;
            }
            _ => {}
        }
    }

    /// Returns the rows that pass the filter, sorted.
    pub fn rows<'a>(&self, table: &'a MeterTable) -> Vec<(&'a (u32, Kind), &'a MeterSummary)> {
        let filter = self.filter.to_lowercase();
        let passes = |(key, meter): &(&(u32, Kind), &MeterSummary)| {
            filter.is_empty() || cells(key, meter).join(" ").to_lowercase().contains(&filter)
        };
        let mut rows: Vec<_> = table.meters().filter(passes).collect();
        rows.sort_by(|a, b| {
            let order = self.compare(*a, *b);
            if self.is_descending {
                order.reverse()
            } else {
                order
            }
        });
        rows
    }

    fn compare(&self, a: (&(u32, Kind), &MeterSummary), b: (&(u32, Kind), &MeterSummary)) -> Ordering {
        let ((id, kind), meter) = a;
        let ((other_id, other_kind), other) = b;
        let frequency = |meter: &MeterSummary| meter.frequency_hz.unwrap_or(meter.offset_hz as f64);
        let order = match self.column {
            1 => kind.to_string().cmp(&other_kind.to_string()),
            2 => meter.commodity.to_string().cmp(&other.commodity.to_string()),
            3 => meter.consumption.cmp(&other.consumption),
            4 => meter.receptions.cmp(&other.receptions),
            5 => meter.snr_db.total_cmp(&other.snr_db),
            6 => frequency(meter).total_cmp(&frequency(other)),
            _ => Ordering::Equal,
        };
        order.then(id.cmp(other_id))
    }

    /// Returns the list of keys, or the filter while it is edited.
    pub fn help(&self) -> String {
        if self.is_editing_filter {
            return format!("filter: {}▏ Enter keeps it, Esc drops it", self.filter);
        }
        let filter = match self.filter.as_str() {
            "" => String::new(),
            filter => format!("only {filter} · "),
        };
        let paused = if self.is_paused { "PAUSED · " } else { "" };
        format!("{paused}{filter}s sort · r reverse · / filter · p pause · q quit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::Commodity;

    fn pressed(keys: &str) -> TableControls {
        let mut controls = TableControls::default();
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '\u{8}' => KeyCode::Backspace,
                letter => KeyCode::Char(letter),
            };
            controls.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
        controls
    }

    fn table() -> MeterTable {
        let mut table = MeterTable::default();
        for (id, receptions, snr_db, commodity) in [
            (9, 1, 3.5, Commodity::Gas),
            (10, 7, -2.0, Commodity::Water),
            (11, 7, 20.0, Commodity::Water),
        ] {
            let summary = MeterSummary {
                commodity,
                meter_type: 12,
                consumption: Some(5),
                receptions,
                snr_db,
                margin_db: None,
                frequency_hz: None,
                offset_hz: 0,
            };
            table.insert((id, Kind::Scm), summary);
        }
        table
    }

    #[test]
    fn given_keys_then_the_table_is_sorted_filtered_and_paused() {
        let table = table();
        let ids = |keys: &str| -> Vec<u32> {
            let rows = pressed(keys).rows(&table);
            rows.iter().map(|((id, _), _)| *id).collect()
        };
        assert_eq!(ids(""), [9, 10, 11]);
        assert_eq!(ids("r"), [11, 10, 9]);
        assert_eq!(ids("sssss"), [11, 9, 10], "by SNR, best first");
        assert_eq!(ids("ssss"), [11, 10, 9], "by receptions, then by id");
        assert_eq!(ids("/WAT"), [10, 11]);
        assert_eq!(ids("/gasx\u{8}\n"), [9], "Enter keeps the filter");
        assert_eq!(ids("/gas\u{1b}"), [9, 10, 11], "Esc drops the filter");
        assert!(pressed("p").is_paused && !pressed("pp").is_paused);
        assert!(pressed("q").quit_requested && !pressed("/q").quit_requested);
    }
}
