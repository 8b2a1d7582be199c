//! Is a reading plausible? A counter only rises, and not faster than anything in a home can turn it; a meter does not
//! change what it is. What is not plausible waits until a second reading agrees with it.

use jiff::Timestamp;
use metertap_decode::ert::{Kind, Message};
use metertap_decode::quantity::Quantity;
use metertap_decode::report::{Fields, Value};
use metertap_decode::unit::Unit;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Counters remembered; beyond that readings of new meters are believed unseen.
const MAX_COUNTERS: usize = 20_000;
/// Counts an hour of a meter of the radio whose unit is not known: one count is seldom less than 1 Wh or 0.1 gal, and
/// a flipped bit above the lowest 14 jumps by more between two transmissions.
const COUNTS_PER_HOUR: f64 = 1e6;
/// Of a meter on a wire, whose telegrams have checks of their own: 100 MW, 100 000 m³ an hour, and as much of anything
/// else; more is a wrong decimal point.
const UNITS_PER_HOUR: f64 = 1e5;
/// Clocks are read in whole seconds, and counters in whole counts.
const SLACK_S: f64 = 60.0;

/// Why a reading is not believed.
#[derive(Clone, Debug, PartialEq)]
pub enum Implausible {
    /// A counter has fallen.
    WentBack {
        /// Of the counter; empty for a meter with one.
        field: String,
        /// It said this,
        from: f64,
        /// and now this.
        to: f64,
    },
    /// A counter has risen faster than it can.
    Jumped {
        /// Of the counter; empty for a meter with one.
        field: String,
        /// It said this,
        from: f64,
        /// and now this.
        to: f64,
    },
    /// It has another type.
    Changed {
        /// It was of this type,
        from: u8,
        /// and now of this.
        to: u8,
    },
}

impl Implausible {
    /// In a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Implausible::WentBack { .. } => "went_back",
            Implausible::Jumped { .. } => "jump",
            Implausible::Changed { .. } => "type",
        }
    }
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Implausible::WentBack { field, from, to } => write!(f, "{field} {to} after {from}: it went back"),
            Implausible::Jumped { field, from, to } => write!(f, "{field} {to} after {from}: it jumped"),
            Implausible::Changed { from, to } => write!(f, "type {to} after type {from}"),
        }
    }
}

/// What a reading says that can be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CounterSample {
    /// Of the meter, where it tells one.
    pub meter_type: Option<u8>,
    /// By name.
    pub counters: Vec<(String, f64)>,
    /// They are balances: what was used less what was fed in.
    pub may_fall: bool,
}

impl CounterSample {
    /// Of a meter of the radio.
    pub fn of_message(message: &Message) -> Self {
        CounterSample {
            may_fall: message.kind() == Kind::NetIdm,
            ..Self::of_counts(message.meter_type(), message.consumption())
        }
    }

    fn of_counts(meter_type: u8, counts: i64) -> Self {
        CounterSample {
            meter_type: Some(meter_type),
            counters: vec![(String::new(), counts as f64)],
            may_fall: false,
        }
    }

    /// Of a meter on a wire: fields that only rise.
    pub fn of_fields(fields: &Fields) -> Self {
        CounterSample {
            meter_type: None,
            counters: counters(fields)
                .map(|(name, quantity)| (name.to_owned(), quantity.to_f64()))
                .collect(),
            may_fall: false,
        }
    }
}

/// The fields that only rise.
pub fn counters(fields: &Fields) -> impl Iterator<Item = (&str, &Quantity)> {
    fields.0.iter().filter_map(|(name, value)| match value {
        Value::Quantity(quantity) if is_counter(name, quantity) => Some((&**name, quantity)),
        _ => None,
    })
}

/// Energy and volume that were counted since the meter was made; not those of a billing period, and no balance.
fn is_counter(name: &str, quantity: &Quantity) -> bool {
    let has_unit = matches!(
        quantity.unit,
        Unit::KWh | Unit::MWh | Unit::GJ | Unit::Kvarh | Unit::CubicMeter
    );
    let is_other = [
        "_storage_",
        "_avg",
        "_max",
        "_min",
        "net",
        "balance",
        "_day",
        "_month",
        "_year",
        "q1",
        "q2",
        "q3",
        "q4",
    ]
    .iter()
    .any(|part| name.contains(part));
    has_unit && !is_other && !name.contains("flow")
}

/// What is allowed of one meter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// In units of its counter an hour.
    pub per_hour: Option<f64>,
    /// Where its counter begins again at 0, if it is known.
    pub wraps_at: Option<f64>,
    /// Its counter comes in counts of no known unit.
    pub is_counts: bool,
}

impl Limits {
    fn rate(&self) -> f64 {
        self.per_hour.unwrap_or(if self.is_counts {
            COUNTS_PER_HOUR
        } else {
            UNITS_PER_HOUR
        })
    }
}

/// Remembers what each meter has said.
#[derive(Default)]
pub struct Plausibility {
    meters: HashMap<(String, &'static str), Memory>,
    counters: usize,
    refused: BTreeMap<(String, &'static str), u64>,
}

#[derive(Default)]
struct Memory {
    believed: Option<(Timestamp, CounterSample)>,
    /// What was refused last: a second one like it is believed.
    doubted: Option<(Timestamp, CounterSample)>,
}

impl Plausibility {
    /// Whether a claim of the meter `id` is believed.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(
        &mut self,
        id: &str,
        kind: &'static str,
        time: Timestamp,
        claim: CounterSample,
        limits: &Limits,
    ) -> Result<(), Implausible> {
        let key = (id.to_owned(), kind);
        if !self.meters.contains_key(&key) && self.counters + claim.counters.len() > MAX_COUNTERS {
            return Ok(());
        }
        let counters = &mut self.counters;
        let memory = self.meters.entry(key).or_insert_with(|| {
            *counters += claim.counters.len();
            Memory::default()
        });
        let Some(believed) = &memory.believed else {
            memory.believed = Some((time, claim));
            return Ok(());
        };
        let doubt = compare(believed, time, &claim, limits);
        // An old meter may run backwards for hours: either way will do.
        let either_way = CounterSample {
            may_fall: true,
            ..claim.clone()
        };
        let agrees =
            |doubted: &(Timestamp, CounterSample)| compare(doubted, time, &either_way, limits).is_none();
        match doubt {
            Some(doubt) if !memory.doubted.as_ref().is_some_and(agrees) => {
                memory.doubted = Some((time, claim));
                *self.refused.entry((id.to_owned(), doubt.reason())).or_default() += 1;
                Err(doubt)
            }
            _ => {
                memory.believed = Some((time, claim));
                memory.doubted = None;
                Ok(())
            }
        }
    }

    /// How many readings were refused, by meter and reason.
    pub fn refused(&self) -> &BTreeMap<(String, &'static str), u64> {
        &self.refused
    }
}

/// What speaks against a claim after another one.
fn compare(
    (before, old): &(Timestamp, CounterSample),
    now: Timestamp,
    new: &CounterSample,
    limits: &Limits,
) -> Option<Implausible> {
    if let (Some(from), Some(to)) = (old.meter_type, new.meter_type) {
        if from != to {
            return Some(Implausible::Changed { from, to });
        }
    }
    let hours = (now.duration_since(*before).as_secs_f64().max(0.0) + SLACK_S) / 3600.0;
    for (field, to) in &new.counters {
        let Some((_, from)) = old.counters.iter().find(|(name, _)| name == field) else {
            continue;
        };
        let (field, from, to) = (field.clone(), *from, *to);
        let rise = match limits.wraps_at {
            Some(wraps_at) if to < from => to - from + wraps_at,
            _ => to - from,
        };
        // One count is always possible.
        let most = limits.rate() * hours + 1.0;
        if new.may_fall {
            if (to - from).abs() > most {
                return Some(Implausible::Jumped { field, from, to });
            }
            continue;
        }
        if rise > most && to > from {
            return Some(Implausible::Jumped { field, from, to });
        }
        if to < from && !(0.0..=most).contains(&rise) {
            return Some(Implausible::WentBack { field, from, to });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    const COUNTS: Limits = Limits {
        per_hour: None,
        wraps_at: None,
        is_counts: true,
    };

    /// Which of `(seconds, counts)` are believed.
    fn believed(claims: &[(i64, i64)], limits: &Limits) -> Vec<bool> {
        let mut judge = Plausibility::default();
        let judged = claims.iter().map(|(time, counts)| {
            judge
                .judge(
                    "1",
                    "scm",
                    at(*time),
                    CounterSample::of_counts(7, *counts),
                    limits,
                )
                .is_ok()
        });
        judged.collect()
    }

    #[test]
    fn given_a_reading_that_goes_back_then_it_waits_for_one_that_agrees() {
        let told = believed(
            &[(0, 1000), (60, 990), (120, 1001), (180, 10), (240, 11), (300, 12)],
            &COUNTS,
        );
        assert_eq!(told, [true, false, true, false, true, true]);
    }

    #[test]
    fn given_a_flipped_high_bit_then_the_jump_is_refused_and_what_follows_is_believed() {
        let told = believed(&[(0, 1000), (30, 1000 + (1 << 20)), (60, 1003)], &COUNTS);
        assert_eq!(told, [true, false, true]);
        // A day in which it could well have risen so far.
        assert_eq!(believed(&[(0, 1000), (86_400, 1_001_000)], &COUNTS), [true, true]);
    }

    #[test]
    fn given_its_digits_then_a_counter_that_begins_again_is_no_surprise() {
        let wraps = Limits {
            wraps_at: Some(1e6),
            ..COUNTS
        };
        assert_eq!(believed(&[(0, 999_990), (600, 5)], &wraps), [true, true]);
        assert_eq!(believed(&[(0, 999_990), (600, 5)], &COUNTS), [true, false]);
    }

    #[test]
    fn given_a_limit_of_ones_own_then_it_holds() {
        let slow = Limits {
            per_hour: Some(10.0),
            ..COUNTS
        };
        assert_eq!(
            believed(&[(0, 100), (3600, 130), (7200, 121)], &slow),
            [true, false, true]
        );
    }

    #[test]
    fn given_a_balance_then_it_may_fall_and_given_a_meter_that_runs_backwards_then_it_is_heard_all_the_same()
    {
        let mut judge = Plausibility::default();
        let mut is_ok = |time, counts, may_fall| {
            let claim = CounterSample {
                may_fall,
                ..CounterSample::of_counts(8, counts)
            };
            judge.judge("1", "netidm", at(time), claim, &COUNTS).is_ok()
        };
        let told: Vec<bool> = (0..4).map(|i| is_ok(60 * i, -5 * i, true)).collect();
        assert_eq!(told, [true; 4]);
        assert!(!is_ok(300, 10_000_000, true), "but not by so much");
        let told = believed(&[(0, 100), (60, 99), (120, 98), (180, 97), (240, 96)], &COUNTS);
        assert_eq!(told, [true, false, true, false, true]);
    }

    #[test]
    fn given_another_type_then_it_is_another_meter_until_it_says_so_twice() {
        let mut judge = Plausibility::default();
        let mut is_ok = |time, meter_type| {
            let claim = CounterSample::of_counts(meter_type, 5);
            judge.judge("1", "scm", at(time), claim, &COUNTS).is_ok()
        };
        assert!(is_ok(0, 7));
        assert!(!is_ok(60, 12));
        assert!(is_ok(120, 7));
        assert!(!is_ok(180, 12));
        assert!(is_ok(240, 12));
        let count: u64 = judge.refused().values().sum();
        assert_eq!(count, 2);
    }
}
