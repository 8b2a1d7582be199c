//! Latest values of a meter, merged over all of its messages: one retained JSON object, of which Home Assistant's entities take
//! what is theirs.
//!
//! ```json
//! {"energy_import_total":4821.3,"power_import":null,"last_seen":"…",
//!  "metertap":{"source":"wire:hall","lasting":["energy_import_total","last_seen"],"base":{},"unit":"1 kWh","interval_s":10}}
//! ```
//!
//! - A value that a message does not contain keeps its last one. A momentary one becomes `null` when it is too old.
//! - Counters go on over exchanged meters; see [`Continuity`].
//! - The member `metertap` is for the next process, which reads the object back from the broker: it knows the counters of messages
//!   that come once an hour, or a day.

use crate::meter::Meter;
use crate::meter::continuity::{Bounds, Continuity};
use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::throttle::PublishRate;
use crate::publish::homeassistant::entities::{Entity, EntityValue, MAX_ENTITIES, number};
use jiff::Timestamp;
use metertap_decode::quantity::{Decimal, parse_decimal};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Validity of momentary values (power, voltage, flow) until the interval between two readings is known, of a meter that pushes.
const FIRST_VALIDITY_PUSHED: Duration = Duration::from_secs(300);
/// The same for a meter that is polled, or received by radio.
const FIRST_VALIDITY: Duration = Duration::from_secs(3600);
/// Momentary values are valid for so many intervals between two readings.
const VALID_INTERVALS: u32 = 3;
/// Key of the member for the next process.
const OWN: &str = "metertap";
/// Source of radio meters.
pub const RADIO: &str = "radio";
/// Source of meters on wires, followed by the name of the port.
pub const WIRE: &str = "wire:";

/// Values of one meter.
pub struct MeterState {
    values: BTreeMap<String, Held>,
    /// [`RADIO`], or [`WIRE`] and the name of the port.
    source: String,
    /// Types of messages received by this process.
    types: BTreeSet<&'static str>,
    /// Scale and unit for which the totals hold.
    unit: String,
    /// Longest of the recent intervals between two readings.
    interval: Option<Duration>,
    last: Option<Instant>,
    seen: Timestamp,
}

#[derive(Clone, Debug)]
struct Held {
    value: Value,
    /// Time until which a momentary value is valid; `None` for others.
    until: Option<Instant>,
    is_momentary: bool,
    counter: Option<(Continuity, Decimal, Bounds)>,
}

/// State that an earlier process has published.
#[derive(Debug)]
pub struct Restored {
    /// [`RADIO`], or [`WIRE`] and the name of the port.
    pub source: String,
    /// Interval between two readings, if it was known.
    pub interval: Option<Duration>,
    lasting: BTreeMap<String, Value>,
    momentary: Vec<String>,
    bases: BTreeMap<String, Decimal>,
    unit: String,
    seen: Timestamp,
}

impl Restored {
    /// Parses a state; `None` if it is none of metertap's.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let object: Map<String, Value> = serde_json::from_slice(payload).ok()?;
        let own = object.get(OWN)?;
        let text = |key: &str| own[key].as_str().map(str::to_owned);
        let keys = own["lasting"].as_array()?.iter().filter_map(Value::as_str);
        let lasting: BTreeMap<String, Value> = keys
            .take(MAX_ENTITIES)
            .filter_map(|key| Some((key.to_owned(), object.get(key)?.clone())))
            .collect();
        let momentary = object
            .keys()
            .filter(|key| *key != OWN && !lasting.contains_key(*key));
        let bases = own["base"].as_object()?.iter();
        let bases = bases.filter_map(|(key, base)| Some((key.clone(), parse_decimal(base.as_str()?)?)));
        Some(Restored {
            source: text("source")?,
            interval: own["interval_s"].as_u64().map(Duration::from_secs),
            momentary: momentary.take(MAX_ENTITIES).cloned().collect(),
            lasting,
            bases: bases.collect(),
            unit: text("unit").unwrap_or_default(),
            seen: object.get("last_seen")?.as_str()?.parse().ok()?,
        })
    }

    /// Continuity of a counter, if there is a value of it.
    fn continuity(&self, key: &str) -> Option<Continuity> {
        let total = parse_decimal(&self.lasting.get(key)?.as_number()?.to_string())?;
        let base = self.bases.get(key).copied().unwrap_or_default();
        Some(Continuity::resumed(total, self.seen, base))
    }
}

impl MeterState {
    /// Starts the state of a meter that has just been received, or of which an earlier process has published one.
    pub fn new(source: String) -> Self {
        MeterState {
            values: BTreeMap::new(),
            source,
            types: BTreeSet::new(),
            unit: String::new(),
            interval: None,
            last: None,
            seen: Timestamp::UNIX_EPOCH,
        }
    }

    /// [`RADIO`], or [`WIRE`] and the name of the port.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Types of messages received by this process.
    pub fn types(&self) -> &BTreeSet<&'static str> {
        &self.types
    }

    /// Takes the values of a reading, received at `now`.
    pub fn update(&mut self, event: &ReadingEvent, entities: &[Entity], now: Instant) {
        let meter = event.meter_or_default();
        self.source = source_of(event);
        let unit = unit_of(meter);
        if self.unit != unit && !self.unit.is_empty() {
            // Other numbers for the same counts: the totals begin anew, as configured.
            self.values.values_mut().for_each(|held| held.counter = None);
        }
        self.unit = unit;
        let is_same_type = !self.types.insert(event.kind);
        if let Some(gap) = self
            .last
            .map(|last| now.duration_since(last))
            .filter(|_| is_same_type)
        {
            // Decays, so that one outage is not remembered for ever.
            self.interval = Some(gap.max(self.interval.unwrap_or_default() * 3 / 4));
        }
        (self.last, self.seen) = (Some(now), event.received_at());
        let until = self.validity(event).map(|validity| now + validity);
        for Entity { key, value, .. } in entities {
            let old = self.values.get(key).and_then(|held| held.counter);
            let held = match value {
                EntityValue::Counter(count, bounds) => {
                    let mut counter =
                        old.map_or_else(|| Continuity::new(*count, self.seen), |(counter, ..)| counter);
                    let total = counter.next(*count, self.seen, bounds);
                    Held {
                        value: number(&total),
                        until: None,
                        is_momentary: false,
                        counter: Some((counter, *count, *bounds)),
                    }
                }
                EntityValue::Lasting(value) => Held {
                    value: value.clone(),
                    until: None,
                    is_momentary: false,
                    counter: None,
                },
                EntityValue::Momentary(value) => Held {
                    value: value.clone(),
                    until,
                    is_momentary: true,
                    counter: None,
                },
            };
            if self.values.len() < MAX_ENTITIES || self.values.contains_key(key) {
                self.values.insert(key.clone(), held);
            }
        }
    }

    /// Time for which momentary values of a reading are valid; `None`: until they change.
    fn validity(&self, event: &ReadingEvent) -> Option<Duration> {
        let rate = event.meter_or_default().rate.unwrap_or_default();
        let period = match rate {
            PublishRate::Change => return None,
            PublishRate::Once(period) => period,
            PublishRate::Every => Duration::ZERO,
        };
        let first = if event.is_pushed() {
            FIRST_VALIDITY_PUSHED
        } else {
            FIRST_VALIDITY
        };
        let interval = self.interval.unwrap_or_default().max(period);
        Some(first.max(VALID_INTERVALS * interval))
    }

    /// Adds what an earlier process has published and this one has not received.
    pub fn restore(&mut self, restored: Restored) {
        if self.last.is_none() {
            (self.seen, self.unit) = (restored.seen, restored.unit.clone());
        }
        self.interval = self.interval.max(restored.interval);
        let is_same_unit = self.unit == restored.unit;
        for (key, value) in &restored.lasting {
            let continuity = restored.continuity(key).filter(|_| is_same_unit);
            match self.values.get_mut(key) {
                Some(held) => {
                    // The reading of this process comes after that total.
                    if let (Some((counter, count, bounds)), Some(mut earlier)) =
                        (&mut held.counter, continuity)
                    {
                        let total = earlier.next(*count, self.seen, bounds);
                        (*counter, held.value) = (earlier, number(&total));
                    }
                }
                None => {
                    let held = Held {
                        value: value.clone(),
                        until: None,
                        is_momentary: false,
                        counter: continuity.map(|counter| (counter, Decimal::ZERO, NO_BOUNDS)),
                    };
                    self.values.insert(key.clone(), held);
                }
            }
        }
        for key in restored.momentary {
            // Too old by now.
            self.values.entry(key).or_insert(Held {
                value: Value::Null,
                until: None,
                is_momentary: true,
                counter: None,
            });
        }
    }

    /// Forgets a value whose entity is gone.
    pub fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// Makes momentary values that are no longer valid unknown; returns true if there are any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let mut has_expired = false;
        for held in self.values.values_mut() {
            if held.until.is_some_and(|until| until <= now) {
                (held.value, held.until) = (Value::Null, None);
                has_expired = true;
            }
        }
        has_expired
    }

    /// Returns the JSON object.
    pub fn payload(&self) -> String {
        let values = self
            .values
            .iter()
            .map(|(key, held)| (key.clone(), held.value.clone()));
        let mut object: Map<String, Value> = values.collect();
        let lasting = self.values.iter().filter(|(_, held)| !held.is_momentary);
        let bases = self.values.iter().filter_map(|(key, held)| {
            let (counter, ..) = held.counter.as_ref()?;
            let base = counter.base();
            (!base.is_zero()).then(|| (key.clone(), json!(base.to_string())))
        });
        object.insert(
            OWN.into(),
            json!({
                "source": self.source,
                "lasting": lasting.map(|(key, _)| key).collect::<Vec<_>>(),
                "base": bases.collect::<Map<_, _>>(),
                "unit": self.unit,
                "interval_s": self.interval.map(|interval| interval.as_secs()),
            }),
        );
        Value::Object(object).to_string()
    }
}

/// Bounds of a counter that this process has not received.
const NO_BOUNDS: Bounds = Bounds {
    per_hour: 0.0,
    wraps_at: None,
};

/// Source of a reading: [`RADIO`], or [`WIRE`] and the name of its port.
pub fn source_of(event: &ReadingEvent) -> String {
    match &event.origin {
        Origin::Wire(reading) if !reading.report.reading_type.is_by_radio() => {
            format!("{WIRE}{}", reading.port)
        }
        Origin::Radio(_) | Origin::Interval(_) | Origin::Wire(_) => RADIO.to_owned(),
    }
}

/// Scale and unit of a meter's counter, as text to be compared.
fn unit_of(meter: &Meter) -> String {
    let scale = meter.scale.map_or(1.0, crate::meter::Factor::to_f64);
    format!("{scale} {}", meter.unit.as_deref().unwrap_or("counts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::WireReading;
    use crate::publish::homeassistant::entities::entities;
    use metertap_decode::p1::{Telegram, readings};
    use metertap_decode::time::Zone;

    /// Takes a telegram with these lines, received `second` seconds after the start.
    fn take(state: &mut MeterState, start: Instant, second: u64, lines: &str) {
        let text = format!("/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n{lines}\r\n!");
        let zone = "Europe/Amsterdam".parse::<Zone>().unwrap();
        let report = readings(&Telegram::parse(&text).unwrap(), &zone).remove(0);
        let received = Timestamp::from_second(second as i64).unwrap();
        let event =
            ReadingEvent::from_wire(Box::new(WireReading::new("hall".into(), report, received)), None);
        let entities = entities(&event, false);
        state.update(&event, &entities, start + Duration::from_secs(second));
    }

    fn value(state: &MeterState, key: &str) -> Value {
        serde_json::from_str::<Value>(&state.payload()).unwrap()[key].clone()
    }

    #[test]
    fn given_a_momentary_value_then_it_is_unknown_after_three_intervals_and_a_counter_stays() {
        let (mut state, start) = (MeterState::new("hall".into()), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        take(
            &mut state,
            start,
            0,
            "1-0:1.7.0(00.5*kW)\r\n1-0:1.8.0(000100.5*kWh)",
        );
        assert!(!state.expire(at(299)));
        assert!(state.expire(at(300)) && !state.expire(at(301)), "once");
        assert_eq!(value(&state, "power_import"), Value::Null);
        assert_eq!(value(&state, "energy_import_total"), json!(100.5));
        take(&mut state, start, 400, "1-0:1.7.0(00.7*kW)");
        assert!(!state.expire(at(400 + 1199)));
        assert!(state.expire(at(400 + 1200)));
    }

    #[test]
    fn given_the_state_of_an_earlier_process_then_its_counters_go_on_and_its_momentary_values_are_unknown() {
        let (mut earlier, start) = (MeterState::new("hall".into()), Instant::now());
        take(
            &mut earlier,
            start,
            0,
            "1-0:1.8.0(050000.0*kWh)\r\n1-0:1.7.0(00.5*kW)\r\n1-0:2.8.0(000007.0*kWh)",
        );
        take(&mut earlier, start, 10, "1-0:1.8.0(000003.0*kWh)");
        assert_eq!(value(&earlier, "energy_import_total"), json!(50_000));
        let restored = || Restored::parse(earlier.payload().as_bytes()).unwrap();
        assert_eq!(restored().interval, Some(Duration::from_secs(10)));
        // Received before the broker has sent what was there, and afterwards.
        for is_received_first in [true, false] {
            let mut state = MeterState::new("hall".into());
            if is_received_first {
                take(&mut state, start, 20, "1-0:1.8.0(000004.0*kWh)");
                state.restore(restored());
            } else {
                state.restore(restored());
                take(&mut state, start, 20, "1-0:1.8.0(000004.0*kWh)");
            }
            assert_eq!(value(&state, "energy_import_total"), json!(50_001));
            assert_eq!(value(&state, "energy_export_total"), json!(7));
            assert_eq!(value(&state, "power_import"), Value::Null);
        }
    }

    #[test]
    fn given_something_else_then_it_is_no_state() {
        for payload in [
            "",
            "[]",
            "{}",
            r#"{"metertap":{}}"#,
            r#"{"metertap":{"lasting":[1],"base":3,"source":"x"}}"#,
        ] {
            assert!(Restored::parse(payload.as_bytes()).is_none(), "{payload}");
        }
    }
}
