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
/// A decimal counter rises by so much more, read as a binary number, from 99 to 100 and from 999 to 1000.
const BCD_STRETCH: f64 = 4.0;
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
    counter: i64,
    /// The one before, if this one was believed because it was expected: it may be the wrong one.
    earlier: Option<Vec<u8>>,
    /// The time in an IDM is certain, so that the next one can be predicted.
    is_dated: bool,
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
    /// The frame before, if this one was believed because it was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<String>,
    /// The transmit time offset of an IDM may be wrong.
    #[serde(default, skip_serializing_if = "is_false")]
    pub time_doubt: bool,
}

fn is_false(value: &bool) -> bool {
    !value
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
        let is_whole = |protocol: &Protocol| reading.frame.len() == protocol.bytes();
        if message.kind().protocol().filter(is_whole).is_none() {
            return;
        }
        let last = LastMessage {
            kind: message.kind(),
            frame: reading.frame.to_vec(),
            time: reading.time,
            counter: message.consumption(),
            earlier: None,
            is_dated: reading.signal.time_doubt.is_none(),
        };
        self.lock()
            .learn(message.id(), last, reading.signal.method.is_none());
    }

    /// Takes over what an earlier process has learned.
    pub fn restore(&self, learned: &[LearnedFrame]) {
        let mut state = self.lock();
        for one in learned {
            let Ok(kind) = one.kind.parse::<Kind>() else {
                continue;
            };
            // Returns the frame and its counter, if it is one of this meter.
            let valid = |digits: &String| {
                let frame = data_encoding::HEXUPPER.decode(digits.as_bytes()).ok()?;
                let message = Message::parse(kind, &frame).ok()?;
                (message.id() == one.meter).then(|| (frame, message.consumption()))
            };
            if let Some((frame, counter)) = valid(&one.frame) {
                let last = LastMessage {
                    kind,
                    frame,
                    time: one.time,
                    counter,
                    earlier: one.earlier.as_ref().and_then(valid).map(|(frame, _)| frame),
                    is_dated: !one.time_doubt,
                };
                state.insert(one.meter, last);
            }
        }
    }

    /// Returns what was learned, for the next start of the program.
    pub fn learned(&self) -> Vec<LearnedFrame> {
        let state = self.lock();
        let digits = |frame: &Vec<u8>| data_encoding::HEXUPPER.encode(frame);
        let learned = state.last.iter().map(|((meter, _), last)| LearnedFrame {
            meter: *meter,
            kind: last.kind.topic_name().into(),
            frame: digits(&last.frame),
            time: last.time,
            earlier: last.earlier.as_ref().map(digits),
            time_doubt: !last.is_dated,
        });
        learned.collect()
    }

    /// Returns a number that changes whenever something was learned.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Returns what is to be expected at `now`, first that of which something is known already.
    pub fn at(&self, now: Timestamp) -> Vec<Expectation> {
        let state = self.lock();
        let (mut all, mut awaited) = (Vec::new(), Vec::new());
        for (&id, meter) in &state.meters {
            let mut known = Vec::new();
            let mut expect = |protocol: Option<Protocol>, expectation: Option<Expectation>| {
                if let Some((protocol, expectation)) = protocol.zip(expectation) {
                    known.push(protocol);
                    all.push(expectation);
                }
            };
            let last = state.last_of(id);
            for last in last.clone().filter(|last| meter.accepts(last.kind)) {
                expect(last.kind.protocol(), last.next(meter, now));
            }
            let is_unheard = |(kind, _): &(Kind, u32)| last.clone().all(|last| last.kind != *kind);
            if let Some((kind, counter)) = meter.reading.filter(is_unheard) {
                expect(kind.protocol(), typed(kind, id, counter));
            }
            // The receiver learns of these as soon as it receives them, which may be long before their readings come back here: a recording is
            // played faster than that.
            let unknown = meter
                .radio_protocols()
                .filter(|protocol| !known.contains(protocol));
            awaited
                .extend(unknown.filter_map(|protocol| Expectation::for_id(protocol, id, LEAST_RISE as u32)));
        }
        all.extend(awaited);
        all.truncate(MAX_EXPECTATIONS);
        all
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what the counter typed by the user makes expected.
fn typed(kind: Kind, id: u32, counter: u32) -> Option<Expectation> {
    let counter = match kind {
        // Its digits are sent one by one, four bits each.
        Kind::R900Bcd => u32::from_str_radix(&counter.to_string(), 16).ok()?,
        _ => counter,
    };
    Expectation::for_counter(kind.protocol()?, id, counter, MAX_RISE)
}

impl State {
    /// Replaces the last message. The one before stays an alternative to a message that has not passed its check: no counter below
    /// a wrong one would ever be received otherwise.
    fn learn(&mut self, id: u32, mut last: LastMessage, has_passed_check: bool) {
        if !has_passed_check {
            let before = self.last.get(&(id, last.kind.topic_name()));
            last.earlier = before.and_then(|before| {
                if last.counter >= before.counter {
                    Some(before.frame.clone())
                } else {
                    before.earlier.clone()
                }
            });
        }
        self.insert(id, last);
    }

    fn insert(&mut self, id: u32, last: LastMessage) {
        if self.meters.contains_key(&id) {
            self.last.insert((id, last.kind.topic_name()), last);
            self.revision += 1;
        }
    }

    fn last_of(&self, id: u32) -> impl Iterator<Item = &LastMessage> + Clone {
        self.last
            .range((id, "")..=(id, "\u{10FFFF}"))
            .map(|(_, last)| last)
    }
}

impl LastMessage {
    /// Returns what is to be expected at `now` of the next one.
    fn next(&self, meter: &Expected, now: Timestamp) -> Option<Expectation> {
        let passed_s = now.duration_since(self.time).as_secs_f64().max(0.0);
        let rise = (passed_s / 3600.0 * meter.counts_per_hour).clamp(LEAST_RISE, MAX_RISE.into());
        let protocol = self.kind.protocol()?;
        let rise = match self.kind {
            Kind::R900Bcd => BCD_STRETCH * rise,
            _ => rise,
        };
        let expectation = Expectation::after(protocol, &self.frame, rise as u32)?;
        if protocol != Protocol::Idm {
            return Some(match &self.earlier {
                Some(earlier) => expectation.or_since(earlier),
                None => expectation,
            });
        }
        let fewest = (passed_s / INTERVAL_S) as u32;
        let most = ((passed_s + RENEWAL.as_secs_f64()) / INTERVAL_S) as u32 + 1;
        // The intervals of a NetIDM move on by more bits: only the rest of this one can be expected.
        let (most, most_fewest) = match self.kind {
            Kind::NetIdm => (0, 0),
            _ => (most, MOST_INTERVALS),
        };
        let expectation = expectation.after_intervals(fewest, most);
        (fewest <= most_fewest).then(|| {
            if self.is_dated {
                expectation.heard_ago(passed_s)
            } else {
                expectation
            }
        })
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

    /// Protocols of the messages that are published.
    fn radio_protocols(&self) -> impl Iterator<Item = Protocol> {
        let accepts = |protocol: &Protocol| {
            let mut kinds = self.protocols.iter().filter_map(|name| name.parse::<Kind>().ok());
            self.protocols.is_empty() || kinds.any(|kind| kind.protocol() == Some(*protocol))
        };
        Protocol::ALL.into_iter().filter(accepts)
    }

    fn accepts(&self, kind: Kind) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|name| name == kind.topic_name())
    }
}

/// Returns the highest id and the highest counter of meters of this kind; `None` for one that is not received by expectation.
pub fn highest_id_and_counter(kind: Kind) -> Option<(u32, u32)> {
    kind.protocol()?;
    Some(match kind {
        Kind::Scm => ((1 << 26) - 1, (1 << 24) - 1),
        Kind::R900 => (u32::MAX, (1 << 27) - 1),
        Kind::R900Bcd => (u32::MAX, 999_999),
        _ => (u32::MAX, u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Signal;
    use metertap_decode::ert::{Idm, NetIdm, Scm};

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
            frame: scm(id, consumption).encode().into(),
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
            frame: idm.encode().into(),
            message: Message::Idm(idm.clone()),
            ..reading(12_345_678, 0)
        });
        let after = |rise| Expectation::after(Protocol::Idm, &idm.encode(), rise).unwrap();
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(400);
        let expected = after(222).after_intervals(1, 4).heard_ago(400.0);
        assert_eq!(expectations.at(now), [expected]);
        let awaited = Expectation::for_id(Protocol::Idm, 12_345_678, 100);
        assert_eq!(expectations.at(at(1)), Vec::from_iter(awaited));
    }

    #[test]
    fn given_a_net_idm_then_those_of_the_same_interval_are_expected() {
        let net = NetIdm::parse(&fec_encoded_idm()).unwrap();
        let expectations = Expectations::default();
        let protocols = vec!["netidm".into()];
        expectations.change(&meters(Meter { protocols, ..ours() }));
        expectations.learn(&Reading {
            frame: net.encode().into(),
            message: Message::NetIdm(net.clone()),
            ..reading(12_345_678, 0)
        });
        let same = Expectation::after(Protocol::Idm, &net.encode(), 111).unwrap();
        let awaited = Expectation::for_id(Protocol::Idm, 12_345_678, 100).unwrap();
        for (seconds, expected) in [(200, same.after_intervals(0, 0).heard_ago(200.0)), (400, awaited)] {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
            assert_eq!(expectations.at(now), [expected], "{seconds} s");
        }
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
        let awaited = Expectation::for_id(Protocol::Scm, 12_345_678, 100);
        assert_eq!(expectations.at(at(0)), Vec::from_iter(awaited));
    }

    #[test]
    fn given_messages_believed_because_they_were_expected_then_the_one_before_stays_an_alternative() {
        let expectations = Expectations::default();
        expectations.change(&meters(ours()));
        let expected = |consumption| Reading {
            signal: Signal {
                method: Some(crate::meter::reading::Method::Expected),
                ..Signal::default()
            },
            ..reading(12_345_678, consumption)
        };
        let now = || expectations.at(at(0)).pop().unwrap();
        let earlier = |consumption| scm(12_345_678, consumption).encode();
        expectations.learn(&reading(12_345_678, 510));
        assert_eq!(now(), after(510, 100).unwrap());
        expectations.learn(&expected(590));
        assert_eq!(now(), after(590, 100).unwrap().or_since(&earlier(510)));
        // A second one agrees with the first: then the first is the alternative.
        expectations.learn(&expected(591));
        assert_eq!(now(), after(591, 100).unwrap().or_since(&earlier(590)));
        // One below contradicts it, and one that passes its check ends all doubt.
        expectations.learn(&expected(520));
        assert_eq!(now(), after(520, 100).unwrap().or_since(&earlier(590)));
        let restored = Expectations::default();
        restored.change(&meters(ours()));
        restored.restore(&expectations.learned());
        assert_eq!(restored.learned(), expectations.learned());
        expectations.learn(&reading(12_345_678, 521));
        assert_eq!(now(), after(521, 100).unwrap());
    }

    #[test]
    fn given_a_decimal_counter_then_its_digits_are_expected() {
        let expectations = Expectations::default();
        expectations.change(&meters(Meter {
            protocols: vec!["r900bcd".into()],
            reading: Some(12_345),
            ..ours()
        }));
        let typed = Expectation::for_counter(Protocol::R900, 12_345_678, 0x1_2345, MAX_RISE);
        assert_eq!(expectations.at(at(0)), Vec::from_iter(typed));
    }

    #[test]
    fn given_a_meter_without_protocol_then_any_frame_of_it_is_awaited() {
        let expectations = Expectations::default();
        expectations.change(&meters(Meter {
            protocols: Vec::new(),
            reading: None,
            ..ours()
        }));
        let awaited = Protocol::ALL.map(|protocol| Expectation::for_id(protocol, 12_345_678, 100));
        assert_eq!(expectations.at(at(0)), awaited.map(Option::unwrap));
        expectations.learn(&reading(12_345_678, 510));
        let now = expectations.at(at(0));
        assert_eq!((now.len(), now.first()), (4, after(510, 100).as_ref()));
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
