//! Finds a meter by its dial: the one whose counter shows what the dial shows.
//!
//! A counter may have more digits than the dial (tenths of a cubic meter, watt-hours for kilowatt-hours) or fewer (the
//! last digits of the dial are painted zeros, or the meter sends tens), so both are compared at several powers of ten. A street has many meters, and some are close by chance: a match is certain if
//! it is within a step or two of the dial and every other meter is far away.

use crate::meter::table::MeterSummary;
use metertap_decode::ert::Kind;

/// Most digits of the counter that the dial may lack.
const MAX_EXTRA_DIGITS: i32 = 3;
/// Most digits of the dial that the counter may lack.
const MAX_MISSING_DIGITS: i32 = 3;
/// Largest distance of a candidate as a share of the dial's reading: some days of consumption.
const NEAR_SHARE: f64 = 0.02;
/// Largest distance of a match, in steps of the dial: it was read a few minutes earlier.
const MATCH_STEPS: f64 = 2.0;
/// Least counts of a meter whose counter has fewer digits than the dial: two steps are then at most 2 % of the dial.
const MIN_COARSE_STEPS: f64 = 100.0;
/// Factor by which the runner-up must be further away.
const CLEAR_FACTOR: f64 = 20.0;
/// Receptions needed for a match, so that a single wrong packet is none.
const MIN_RECEPTIONS: u64 = 2;

/// Meter whose counter is close to the dial.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Meter id.
    pub id: u32,
    /// Message type.
    pub kind: Kind,
    /// Newest reading.
    pub summary: MeterSummary,
    /// Digits of the counter that the dial lacks; negative for digits of the dial that the counter lacks.
    pub extra_digits: i32,
    /// Distance between counter and dial, in steps of the coarser of the two.
    pub steps: f64,
}

/// Returns the candidates for a dial that shows `reading`, the closest first.
pub fn candidates<'a>(
    reading: f64,
    meters: impl Iterator<Item = (&'a (u32, Kind), &'a MeterSummary)>,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = meters
        .filter_map(|(&(id, kind), summary)| {
            let consumption = summary.consumption? as f64;
            let (extra_digits, distance) = (-MAX_MISSING_DIGITS..=MAX_EXTRA_DIGITS)
                .map(|digits| {
                    let shown = consumption / 10f64.powi(digits);
                    (digits, (shown - reading).abs())
                })
                .min_by(|a, b| a.1.total_cmp(&b.1))?;
            let step = 10f64.powi(-extra_digits).max(1.0);
            // With steps this coarse, the first counter of a low number would match any dial.
            let is_fine = step == 1.0 || reading >= step * MIN_COARSE_STEPS;
            let steps = distance / step;
            let near = (NEAR_SHARE * reading).max(MATCH_STEPS * step);
            (is_fine && distance <= near).then(|| Candidate {
                id,
                kind,
                summary: summary.clone(),
                extra_digits,
                steps,
            })
        })
        .collect();
    candidates.sort_by(|a, b| a.steps.total_cmp(&b.steps));
    candidates
}

/// Returns the first candidate if it is certain: within [`MATCH_STEPS`], received twice, and no other meter close.
pub fn certain_match(candidates: &[Candidate]) -> Option<&Candidate> {
    let first = candidates.first()?;
    let is_clear = candidates[1..]
        .iter()
        // The same meter may send several message types.
        .filter(|other| other.id != first.id)
        .all(|other| other.steps > CLEAR_FACTOR * first.steps.max(1.0));
    (first.steps <= MATCH_STEPS && first.summary.receptions >= MIN_RECEPTIONS && is_clear).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::Commodity;

    fn summary(consumption: i64, receptions: u64) -> MeterSummary {
        MeterSummary {
            commodity: Commodity::Gas,
            meter_type: 12,
            consumption: Some(consumption),
            receptions,
            snr_db: 3.0,
            margin_db: None,
            frequency_hz: None,
            offset_hz: 0,
        }
    }

    fn find(reading: f64, meters: &[(u32, i64, u64)]) -> Vec<Candidate> {
        let meters: Vec<_> = meters
            .iter()
            .map(|&(id, consumption, receptions)| ((id, Kind::Scm), summary(consumption, receptions)))
            .collect();
        candidates(reading, meters.iter().map(|(key, summary)| (key, summary)))
    }

    #[test]
    fn given_a_counter_with_more_digits_than_the_dial_then_it_is_found() {
        let found = find(48213.0, &[(1, 990_674, 3), (2, 4_821_371, 2), (3, 660, 9)]);
        let mine = certain_match(&found).unwrap();
        assert_eq!((mine.id, mine.extra_digits), (2, 2));
    }

    #[test]
    fn given_a_counter_with_fewer_digits_than_the_dial_then_it_is_found() {
        for (reading, extra_digits) in [(482_130.0, -1), (4_821_399.0, -2), (48_213_000.0, -3)] {
            let found = find(reading, &[(1, 990_674, 3), (2, 48_213, 2), (3, 660, 9)]);
            let mine = certain_match(&found).unwrap();
            assert_eq!((mine.id, mine.extra_digits), (2, extra_digits), "{reading}");
        }
    }

    #[test]
    fn given_a_counter_of_few_counts_then_it_is_not_multiplied() {
        assert_eq!(find(4300.0, &[(1, 4, 2), (2, 43, 2)]), []);
    }

    #[test]
    fn given_two_that_are_near_then_none_is_certain_match() {
        let found = find(48213.0, &[(1, 48_215, 3), (2, 48_230, 3)]);
        assert_eq!(found.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(certain_match(&found), None);
    }

    #[test]
    fn given_one_reception_then_the_match_is_not_certain_yet() {
        assert_eq!(certain_match(&find(48213.0, &[(1, 48_213, 1)])), None);
        assert!(certain_match(&find(48213.0, &[(1, 48_213, 2)])).is_some());
    }

    #[test]
    fn given_a_low_reading_then_a_few_steps_are_near_enough_to_be_shown() {
        assert_eq!(find(3.0, &[(1, 4, 2), (2, 9, 2)]).len(), 1);
    }
}
