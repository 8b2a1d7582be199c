//! State of the live table that keys control: sorting, filter, pause.

use crate::meter::table::MeterTable;
use crate::terminal::HEADINGS;
use crate::terminal::row::{FIRST_NUMERIC, Row, rows};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

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
                // Numbers: the largest first.
                self.is_descending = self.column >= FIRST_NUMERIC;
            }
            _ => {}
        }
    }

    /// Returns the rows that pass the filter, sorted.
    pub fn rows(&self, table: &MeterTable) -> Vec<Row> {
        let filter = self.filter.to_lowercase();
        let mut rows = rows(table);
        rows.retain(|row| filter.is_empty() || row.cells.join(" ").to_lowercase().contains(&filter));
        rows.sort_by(|a, b| {
            let order = a.compare(b, self.column);
            if self.is_descending {
                order.reverse()
            } else {
                order
            }
        });
        rows
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
    use crate::meter::table::MeterSummary;
    use metertap_decode::ert::{Commodity, Kind};

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
            rows.iter().map(|row| row.cells[0].parse().unwrap()).collect()
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
