//! Expectations: what the next messages of this home's radio meters will be, from their last ones or from their dials.
//!
//! A receiver that knows them finds packets far too weak to be received otherwise (`metertap_dsp::Expectation`).

use crate::meter::{Meter, Meters, Reading};
use jiff::{SignedDuration, Timestamp};
use metertap_decode::ert::{Kind, Message};
use metertap_dsp::{Expectation, MAX_EXPECTATIONS, MAX_RISE, Protocol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Highest rise per hour of a meter without `max_rate`: 20 kW in counts of 10 Wh, 3 gallons a minute in tenths.
const COUNTS_PER_HOUR: f64 = 2000.0;
/// Rise that is weighed at least, however recently a meter was received.
const LEAST_RISE: f64 = 100.0;

/// Time after which expectations are renewed: counters may have risen further.
pub const RENEWAL: SignedDuration = SignedDuration::from_mins(10);
/// Interval of an IDM.
const INTERVAL_S: f64 = 300.0;
/// New intervals up to which an IDM is received deeper for being expected.
const MOST_INTERVALS: u32 = 2;

/// Messages of the meters to be expected; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Expectations(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Meters that are expected at all.
    meters: BTreeMap<u32, Expected>,
    /// Last messages by meter and frame.
    last: BTreeMap<(u32, &'static str), LastMessage>,
    revision: u64,
}

/// Configuration of an expected meter.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    counts_per_hour: f64,
    /// Counter typed by the user, for frames of this kind.
    reading: Option<(Kind, u32)>,
    protocols: Vec<String>,
}

#[derive(Clone, Debug)]
struct LastMessage {
    kind: Kind,
    frame: Vec<u8>,
    time: Timestamp,
}

/// Last message of a meter, for the next start of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnedFrame {
    /// Meter id.
    pub meter: u32,
    /// Message type, as in topics.
    pub kind: String,
    /// The frame, in hexadecimal digits.
    pub frame: String,
    /// Time of reception.
    pub time: Timestamp,
}

impl Expectations {
    /// Expects the radio meters among `meters`, but for those with `lock = false`.
    pub fn change(&self, meters: &Meters) {
        let wanted = meters.iter().filter(|(_, meter)| meter.is_expected);
        let wanted = wanted.filter_map(|(id, meter)| Some((id.parse().ok()?, Expected::new(meter))));
        let wanted: BTreeMap<u32, Expected> = wanted.collect();
        let mut state = self.lock();
        state.last.retain(|(id, _), _| wanted.contains_key(id));
        if state.meters != wanted {
            state.meters = wanted;
            state.revision += 1;
        }
    }

    /// Learns from a plausible reading.
    pub fn learn(&self, reading: &Reading) {
        let message = &reading.message;
        if let Some(frame) = frame_of(message) {
            self.lock()
                .learn(message.id(), message.kind(), frame, reading.time);
        }
    }

    /// Takes over what an earlier process has learned.
    pub fn restore(&self, learned: &[LearnedFrame]) {
        let mut state = self.lock();
        for one in learned {
            let frame = data_encoding::HEXUPPER.decode(one.frame.as_bytes());
            let (Ok(kind), Ok(frame)) = (one.kind.parse::<Kind>(), frame) else {
                continue;
            };
            let is_valid = Message::parse(kind, &frame).is_ok_and(|message| message.id() == one.meter);
            if is_valid {
                state.learn(one.meter, kind, frame, one.time);
            }
        }
    }

    /// Returns what was learned, for the next start of the program.
    pub fn learned(&self) -> Vec<LearnedFrame> {
        let state = self.lock();
        let learned = state.last.iter().map(|((meter, _), last)| LearnedFrame {
            meter: *meter,
            kind: last.kind.topic_name().into(),
            frame: data_encoding::HEXUPPER.encode(&last.frame),
            time: last.time,
        });
        learned.collect()
    }

    /// Returns a number that changes whenever something was learned.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Returns what is to be expected at `now`.
    pub fn at(&self, now: Timestamp) -> Vec<Expectation> {
        let state = self.lock();
        let of_meter = |(id, meter): (&u32, &Expected)| {
            let last = state
                .last
                .range((*id, "")..=(*id, "\u{10FFFF}"))
                .map(|(_, last)| last);
            let after = last
                .clone()
                .filter(|last| meter.accepts(last.kind))
                .filter_map(|last| last.next(meter, now));
            let unheard = meter
                .reading
                .filter(|(kind, _)| last.clone().all(|last| last.kind != *kind));
            let typed = unheard.and_then(|(kind, counter)| {
                Expectation::for_counter(kind.protocol()?, *id, counter, MAX_RISE)
            });
            after.chain(typed).collect::<Vec<_>>()
        };
        state
            .meters
            .iter()
            .flat_map(of_meter)
            .take(MAX_EXPECTATIONS)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, id: u32, kind: Kind, frame: Vec<u8>, time: Timestamp) {
        if !self.meters.contains_key(&id) {
            return;
        }
        let last = LastMessage { kind, frame, time };
        self.last.insert((id, kind.topic_name()), last);
        self.revision += 1;
    }
}

impl LastMessage {
    /// Returns what is to be expected at `now` of the next one.
    fn next(&self, meter: &Expected, now: Timestamp) -> Option<Expectation> {
        let passed_s = now.duration_since(self.time).as_secs_f64().max(0.0);
        let rise = (passed_s / 3600.0 * meter.counts_per_hour).clamp(LEAST_RISE, MAX_RISE.into());
        let protocol = self.kind.protocol()?;
        let expectation = Expectation::after(protocol, &self.frame, rise as u32)?;
        if protocol != Protocol::Idm {
            return Some(expectation);
        }
        let fewest = (passed_s / INTERVAL_S) as u32;
        let most = ((passed_s + RENEWAL.as_secs_f64()) / INTERVAL_S) as u32 + 1;
        let expectation = expectation.after_intervals(fewest, most).heard_ago(passed_s);
        (fewest <= MOST_INTERVALS).then_some(expectation)
    }
}

impl Expected {
    fn new(meter: &Meter) -> Self {
        let scale = meter.scale.map_or(1.0, |scale| scale.to_f64().abs());
        let mut protocols = meter.protocols.iter().rev();
        let last_kind = protocols.find_map(|name| name.parse::<Kind>().ok());
        Expected {
            counts_per_hour: meter.max_rate.map_or(COUNTS_PER_HOUR, |rate| rate / scale),
            reading: last_kind.zip(meter.reading),
            protocols: meter.protocols.clone(),
        }
    }

    fn accepts(&self, kind: Kind) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|name| name == kind.topic_name())
    }
}

/// Returns the frame of a message, if the next one can be expected from it.
fn frame_of(message: &Message) -> Option<Vec<u8>> {
    match message {
        Message::Scm(scm) => Some(scm.encode()),
        Message::ScmPlus(scm_plus) => Some(scm_plus.encode()),
        Message::R900(r900) => Some(r900.encode()),
        Message::Idm(idm) => Some(idm.encode()),
        // A NetIDM has other fields; the decimal counter of R900BCD does not rise as a binary number does.
        Message::NetIdm(_) | Message::R900Bcd(_) => None,
        // The receiver of FSK knows no expectations.
        Message::Orion(_) | Message::OrionEndpoint(_) | Message::HotRod(_) | Message::Dialog3g(_) => None,
    }
}

/// Returns whether a counter alone makes an expectation of a frame of this kind.
pub fn takes_reading(kind: Kind) -> bool {
    matches!(kind.protocol(), Some(Protocol::Scm | Protocol::ScmPlus))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Signal;
    use metertap_decode::ert::{Idm, Scm};

    fn meters(meter: Meter) -> Meters {
        Meters::new([("12345678".to_owned(), meter)].into())
    }

    fn ours() -> Meter {
        Meter {
            is_expected: true,
            protocols: vec!["scm".into()],
            reading: Some(500),
            ..Meter::default()
        }
    }

    fn scm(id: u32, consumption: u32) -> Scm {
        Scm {
            id,
            ert_type: 7,
            tamper_phy: 0,
            tamper_enc: 0,
            consumption,
            checksum: 0,
        }
    }

    fn reading(id: u32, consumption: u32) -> Reading {
        Reading {
            time: Timestamp::UNIX_EPOCH,
            offset: 0,
            length: 0,
            receiver: "roof".into(),
            heard_by: Vec::new(),
            frequency_hz: None,
            frame: Default::default(),
            message: Message::Scm(scm(id, consumption)),
            signal: Signal::default(),
        }
    }

    fn after(consumption: u32, rise: u32) -> Option<Expectation> {
        Expectation::after(Protocol::Scm, &scm(12_345_678, consumption).encode(), rise)
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    #[test]
    fn given_a_typed_counter_then_it_is_expected_until_the_meter_is_received() {
        let expectations = Expectations::default();
        expectations.change(&meters(ours()));
        let typed = Expectation::for_counter(Protocol::Scm, 12_345_678, 500, MAX_RISE);
        assert_eq!(expectations.at(at(0)), Vec::from_iter(typed));
        let before = expectations.revision();
        expectations.learn(&reading(12_345_678, 510));
        assert_ne!(expectations.revision(), before);
        assert_eq!(expectations.at(at(0)), Vec::from_iter(after(510, 100)));
    }

    #[test]
    fn given_time_has_passed_then_the_counter_may_have_risen_further() {
        let expectations = Expectations::default();
        let max_rate = Some(500.0);
        expectations.change(&meters(Meter { max_rate, ..ours() }));
        expectations.learn(&reading(12_345_678, 510));
        for (hours, rise) in [(1, 500), (4, 2000), (100, MAX_RISE)] {
            assert_eq!(
                expectations.at(at(hours)),
                Vec::from_iter(after(510, rise)),
                "{hours} h"
            );
        }
    }

    #[test]
    fn given_an_idm_then_the_next_ones_are_expected_until_its_intervals_have_passed() {
        let idm = Idm::parse(&fec_encoded_idm()).unwrap();
        let expectations = Expectations::default();
        let protocols = vec!["idm".into()];
        expectations.change(&meters(Meter { protocols, ..ours() }));
        expectations.learn(&Reading {
            message: Message::Idm(idm.clone()),
            ..reading(12_345_678, 0)
        });
        let after = |rise| Expectation::after(Protocol::Idm, &idm.encode(), rise).unwrap();
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(400);
        let expected = after(222).after_intervals(1, 4).heard_ago(400.0);
        assert_eq!(expectations.at(now), [expected]);
        assert_eq!(expectations.at(at(1)), []);
    }

    /// An IDM of the meter, all else 0.
    fn fec_encoded_idm() -> Vec<u8> {
        let mut frame = vec![0; 92];
        frame[9..13].copy_from_slice(&12_345_678u32.to_be_bytes());
        metertap_dsp::fec::encode(Protocol::Idm, &mut frame);
        frame
    }

    #[test]
    fn given_lock_is_off_or_another_meter_then_nothing_is_expected() {
        let expectations = Expectations::default();
        expectations.change(&meters(Meter {
            is_expected: false,
            ..ours()
        }));
        expectations.learn(&reading(12_345_678, 510));
        assert_eq!(expectations.at(at(0)), []);
        expectations.change(&meters(Meter {
            reading: None,
            ..ours()
        }));
        expectations.learn(&reading(1, 510));
        assert_eq!(expectations.at(at(0)), []);
    }

    #[test]
    fn given_a_restart_then_what_was_learned_is_expected_again() {
        let before = Expectations::default();
        before.change(&meters(ours()));
        before.learn(&reading(12_345_678, 510));
        let after = Expectations::default();
        after.change(&meters(ours()));
        let mut learned = before.learned();
        learned.push(LearnedFrame {
            frame: "00".into(),
            ..learned[0].clone()
        });
        after.restore(&learned);
        assert_eq!(after.at(at(0)), before.at(at(0)));
        assert_eq!(after.learned(), before.learned());
    }
}
