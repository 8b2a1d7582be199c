//! Table of radio meters on a terminal.

mod controls;
mod live_table;
mod row;

pub use live_table::LiveTable;

use crate::meter::table::MeterTable;

const HEADINGS: [&str; 7] = [
    "id",
    "type",
    "commodity",
    "consumption",
    "heard",
    "SNR",
    "frequency",
];
/// Widths of the columns in characters.
const WIDTHS: [u16; 7] = [10, 8, 14, 12, 6, 8, 12];
/// Columns of words, aligned left; numbers are aligned right.
const WORD_COLUMNS: [usize; 2] = [1, 2];

/// Columns in the order of their importance.
const IMPORTANCE: [usize; 7] = [0, 3, 1, 4, 2, 5, 6];

/// Returns the columns that fit side by side into `width` characters, in their order. A number that were cut would be another
/// number, so columns are left out whole; the id and the counter come first.
fn columns_within(width: u16) -> Vec<usize> {
    let mut used = 0;
    let fitting = IMPORTANCE.into_iter().take_while(|column| {
        // One space between two columns.
        used += WIDTHS[*column] + u16::from(used > 0);
        used <= width
    });
    let mut columns: Vec<usize> = fitting.collect();
    columns.sort_unstable();
    columns
}

/// Formats the whole table as text.
pub fn to_text(table: &MeterTable) -> String {
    let mut text = to_line(HEADINGS.map(str::to_owned));
    for row in row::rows(table) {
        text += &to_line(row.cells);
    }
    text + &format!("{} meters, {} readings\n", table.count(), table.readings)
}

fn to_line(cells: [String; 7]) -> String {
    let mut line = String::new();
    for (i, (cell, width)) in cells.into_iter().zip(WIDTHS).enumerate() {
        let width = usize::from(width);
        let padded = if WORD_COLUMNS.contains(&i) {
            format!("{cell:<width$}")
        } else {
            format!("{cell:>width$}")
        };
        line.push_str(&padded);
        line.push_str("  ");
    }
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_narrow_terminal_then_whole_columns_are_left_out_and_no_number_is_cut() {
        assert_eq!(columns_within(100), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(columns_within(40), [0, 1, 3, 4]);
        assert_eq!(columns_within(23), [0, 3]);
        assert_eq!(columns_within(12), [0]);
        assert_eq!(columns_within(5), [0; 0]);
    }
}
