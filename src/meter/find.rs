//! Which meter is mine? The one whose counter shows what the dial shows.
//!
//! A counter may have more digits than the dial (tenths of a cubic metre, watt-hours for kilowatt-hours), so it is
//! compared after dropping up to three. A street has many meters, and some are near by chance: one is certain
//! when it is within a step or two of the dial and every other is far.

use crate::meter::table::Entry;
use metertap_decode::ert::Kind;

/// Digits of the counter that the dial may lack.
const DIGITS: i32 = 3;
/// A candidate is at most this share of the reading away: a few days' use.
const NEAR: f64 = 0.02;
/// Steps of the dial within which a candidate fits: it was read a little before.
const FITS: f64 = 2.0;
/// How much further away the second candidate must be.
const CLEAR: f64 = 20.0;

/// A meter that may be ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// What its frames are.
    pub kind: Kind,
    /// What is known of it.
    pub entry: Entry,
    /// Digits of the counter that the dial lacks.
    pub digits: i32,
    /// Steps of the dial between the two.
    pub steps: f64,
}

/// Candidates for a dial that shows `reading`, the nearest first.
pub fn candidates<'a>(
    reading: f64,
    meters: impl Iterator<Item = (&'a (u32, Kind), &'a Entry)>,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = meters
        .filter_map(|(&(id, kind), entry)| {
            let (digits, steps) = (0..=DIGITS)
                .map(|digits| {
                    let shown = entry.consumption as f64 / 10f64.powi(digits);
                    (digits, (shown - reading).abs())
                })
                .min_by(|a, b| a.1.total_cmp(&b.1))?;
            (steps <= (NEAR * reading).max(FITS)).then(|| Candidate {
                id,
                kind,
                entry: entry.clone(),
                digits,
                steps,
            })
        })
        .collect();
    candidates.sort_by(|a, b| a.steps.total_cmp(&b.steps));
    candidates
}

/// The one that is certain: it fits, was heard twice, and no other meter is near.
pub fn certain(candidates: &[Candidate]) -> Option<&Candidate> {
    let first = candidates.first()?;
    let far = candidates[1..]
        .iter()
        .filter(|other| other.id != first.id)
        .all(|other| other.steps > CLEAR * first.steps.max(1.0));
    (first.steps <= FITS && first.entry.times >= 2 && far).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::Commodity;

    fn entry(consumption: i64, times: u64) -> Entry {
        Entry {
            commodity: Commodity::Gas,
            meter_type: 12,
            consumption,
            times,
            snr_db: 3.0,
            frequency_hz: None,
            offset_hz: 0,
        }
    }

    fn find(reading: f64, meters: &[(u32, i64, u64)]) -> Vec<Candidate> {
        let meters: Vec<_> = meters
            .iter()
            .map(|&(id, consumption, times)| ((id, Kind::Scm), entry(consumption, times)))
            .collect();
        candidates(reading, meters.iter().map(|(key, entry)| (key, entry)))
    }

    #[test]
    fn given_a_counter_with_more_digits_than_the_dial_then_it_is_found() {
        let found = find(48213.0, &[(1, 990_674, 3), (2, 4_821_371, 2), (3, 660, 9)]);
        let mine = certain(&found).unwrap();
        assert_eq!((mine.id, mine.digits), (2, 2));
    }

    #[test]
    fn given_two_that_are_near_then_none_is_certain() {
        let found = find(48213.0, &[(1, 48_215, 3), (2, 48_230, 3)]);
        assert_eq!(found.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(certain(&found), None);
    }

    #[test]
    fn given_one_that_was_heard_once_then_it_is_not_certain_yet() {
        assert_eq!(certain(&find(48213.0, &[(1, 48_213, 1)])), None);
        assert!(certain(&find(48213.0, &[(1, 48_213, 2)])).is_some());
    }

    #[test]
    fn given_a_low_reading_then_a_few_steps_are_near_enough_to_be_shown() {
        assert_eq!(find(3.0, &[(1, 4, 2), (2, 9, 2)]).len(), 1);
    }
}
