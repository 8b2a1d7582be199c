//! Which rows of the table are shown, and in which order: as keys say.

use crate::meter::table::{Entry, MeterTable};
use crate::terminal::{HEADINGS, cells};
use metertap_decode::ert::Kind;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cmp::Ordering;

/// What is wished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Number of the column.
    pub column: usize,
    /// The largest first.
    pub down: bool,
    /// What rows must say somewhere.
    pub filter: String,
    /// It is being written.
    pub is_writing: bool,
    /// Nothing moves.
    pub is_paused: bool,
    /// It is enough.
    pub is_over: bool,
}

impl Order {
    /// Does what a key says.
    pub fn press(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => self.is_over = true,
            KeyCode::Esc => (self.is_writing, self.filter) = (false, String::new()),
            KeyCode::Enter => self.is_writing = false,
            KeyCode::Backspace if self.is_writing => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.is_writing && !is_control => self.filter.push(letter),
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Char('/') => self.is_writing = true,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('r') => self.down = !self.down,
            KeyCode::Char('s') => {
                self.column = (self.column + 1) % HEADINGS.len();
                // Of numbers the largest is looked for.
                self.down = self.column >= 3;
            }
            _ => {}
        }
    }

    /// The rows that are wished, in order.
    pub fn rows<'a>(&self, heard: &'a MeterTable) -> Vec<(&'a (u32, Kind), &'a Entry)> {
        let wanted = self.filter.to_lowercase();
        let fits = |(key, entry): &(&(u32, Kind), &Entry)| {
            wanted.is_empty() || cells(key, entry).join(" ").to_lowercase().contains(&wanted)
        };
        let mut rows: Vec<_> = heard.meters().filter(fits).collect();
        rows.sort_by(|a, b| {
            let order = self.compare(*a, *b);
            if self.down { order.reverse() } else { order }
        });
        rows
    }

    fn compare(&self, a: (&(u32, Kind), &Entry), b: (&(u32, Kind), &Entry)) -> Ordering {
        let ((id, kind), entry) = a;
        let ((other_id, other_kind), other) = b;
        let place = |entry: &Entry| entry.frequency_hz.unwrap_or(entry.offset_hz as f64);
        let order = match self.column {
            1 => kind.to_string().cmp(&other_kind.to_string()),
            2 => entry.commodity.to_string().cmp(&other.commodity.to_string()),
            3 => entry.consumption.cmp(&other.consumption),
            4 => entry.times.cmp(&other.times),
            5 => entry.snr_db.total_cmp(&other.snr_db),
            6 => place(entry).total_cmp(&place(other)),
            _ => Ordering::Equal,
        };
        order.then(id.cmp(other_id))
    }

    /// What the keys do, or what is being written.
    pub fn help(&self) -> String {
        if self.is_writing {
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

    fn pressed(keys: &str) -> Order {
        let mut order = Order::default();
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '\u{8}' => KeyCode::Backspace,
                letter => KeyCode::Char(letter),
            };
            order.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
        order
    }

    fn heard() -> MeterTable {
        let mut heard = MeterTable::default();
        for (id, times, snr_db, commodity) in [
            (9, 1, 3.5, Commodity::Gas),
            (10, 7, -2.0, Commodity::Water),
            (11, 7, 20.0, Commodity::Water),
        ] {
            let entry = Entry {
                commodity,
                meter_type: 12,
                consumption: 5,
                times,
                snr_db,
                frequency_hz: None,
                offset_hz: 0,
            };
            heard.insert((id, Kind::Scm), entry);
        }
        heard
    }

    #[test]
    fn given_keys_then_the_table_is_sorted_filtered_and_paused() {
        let heard = heard();
        let ids = |keys: &str| -> Vec<u32> {
            let rows = pressed(keys).rows(&heard);
            rows.iter().map(|((id, _), _)| *id).collect()
        };
        assert_eq!(ids(""), [9, 10, 11]);
        assert_eq!(ids("r"), [11, 10, 9]);
        assert_eq!(ids("sssss"), [11, 9, 10], "by SNR, the best first");
        assert_eq!(ids("ssss"), [11, 10, 9], "by how often, then by id");
        assert_eq!(ids("/WAT"), [10, 11]);
        assert_eq!(ids("/gasx\u{8}\n"), [9], "what is kept");
        assert_eq!(ids("/gas\u{1b}"), [9, 10, 11], "what is dropped");
        assert!(pressed("p").is_paused && !pressed("pp").is_paused);
        assert!(pressed("q").is_over && !pressed("/q").is_over);
    }
}
