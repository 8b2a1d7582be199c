//! Compact profiles: many values of one quantity in one record (EN 13757-3, annex F).
//!
//! ```text
//!  LVAR │ spacing control │ spacing value │ value │ value …
//!
//!  spacing control   7–6: 0 values, else increments   5–4: unit of the spacing   3–0: format of the values
//! ```

use super::types::Record;
use super::value::{bcd, scaled, signed};
use super::vif::Meaning;

/// Record whose data are a profile.
pub struct Profile {
    /// Meaning of each value.
    pub meaning: Meaning,
    /// Storage number of the first value, less that of the record.
    pub first_step: u64,
}

impl Profile {
    /// Returns a record for each value that the meter has; `None` for profiles of increments, or in a format of variable
    /// length. `data` begin with the length byte.
    pub fn records(&self, record: &Record, data: &[u8]) -> Option<Vec<Record>> {
        let [_, control, _, values @ ..] = data else {
            return None;
        };
        // Increments need the value from which they count.
        if control >> 6 != 0 {
            return None;
        }
        let (len, is_bcd) = match control & 0x0F {
            len @ 1..=4 => (len, false),
            6 => (6, false),
            7 => (8, false),
            0xC => (4, true),
            0xE => (6, true),
            format @ 9..=0xB => (format - 8, true),
            _ => return None,
        };
        let records = values
            .chunks_exact(len.into())
            .zip(self.first_step..)
            .filter_map(|(bytes, step)| {
                let number = if is_bcd { bcd(bytes) } else { known(bytes) }?;
                Some(Record {
                    value: Some(scaled(number, &self.meaning)),
                    storage: record.storage.checked_add(step)?,
                    ..record.clone()
                })
            });
        Some(records.collect())
    }
}

/// Returns a binary number; `None` for the lowest one, which stands for a value that the meter does not have.
fn known(bytes: &[u8]) -> Option<i128> {
    let number = signed(bytes);
    (number != -(1 << (8 * bytes.len() - 1))).then_some(number)
}

#[cfg(test)]
mod tests {
    use crate::mbus::records;

    #[test]
    fn a_profile_gives_a_record_for_each_value_that_the_meter_has() {
        // Volume, storage 8, profile with registers: 1 l, none, 3 l, in four BCD digits a month.
        let bytes = [0x8D, 0x04, 0x93, 0x1E, 8, 0x3A, 0xFE, 1, 0, 0xFF, 0xFF, 3, 0];
        let mut found = Vec::new();
        assert_eq!(records(&bytes, &mut found), Ok(false));
        let values: Vec<_> = found
            .iter()
            .map(|record| (record.storage, serde_json::to_string(&record.value).unwrap()))
            .collect();
        assert_eq!(values, [(9, "0.001".into()), (11, "0.003".into())]);
    }

    #[test]
    fn increments_are_left_as_they_are_sent() {
        let bytes = [0x8D, 0x04, 0x93, 0x1E, 3, 0x72, 0xFE, 1];
        let mut found = Vec::new();
        records(&bytes, &mut found).unwrap();
        assert_eq!((found.len(), found[0].storage), (1, 8));
    }
}
