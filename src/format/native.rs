//! metertap's own JSON object of a reading: rtlamr's line with the meaning of its counter, the report of a wired meter,
//! or an interval.

use crate::format::rtlamr_json::RtlamrLine;
use crate::meter::event::{INTERVAL, Origin, ReadingEvent};
use crate::meter::intervals::{INTERVAL_S, Interval};
use crate::meter::registers::Registers;
use crate::meter::{Meter, Reading};
use jiff::{SignedDuration, Timestamp};
use metertap_decode::ert::{Commodity, WaterFlags};
use metertap_decode::quantity::{Decimal, Quantity, serialize_decimal};
use serde::{Serialize, Serializer};

/// Returns the JSON object of a reading. The first call produces it and keeps it in the event, so that all sinks share
/// one and a reading held back by its rate needs none.
pub fn json(event: &ReadingEvent) -> &str {
    event.native_json(|event| {
        let meter = event.meter_or_default();
        let json = match &event.origin {
            Origin::Radio(reading) => radio(reading, meter, &event.registers),
            Origin::Wire(reading) => serde_json::to_string(reading),
            Origin::Interval(interval) => interval_of(meter, &event.id, interval),
        };
        // Numbers, strings and lists of them cannot fail to be serialized.
        json.unwrap_or_default()
    })
}

/// Members of a radio reading beside rtlamr's.
#[derive(Serialize)]
struct HomeFields<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_unknown")]
    commodity: Commodity,
    reading: Amounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<WaterFlags>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Signature required by serde.
fn is_unknown(commodity: &Commodity) -> bool {
    *commodity == Commodity::Unknown
}

#[derive(Serialize)]
struct IntervalFields<'a> {
    time: Timestamp,
    begin: Option<Timestamp>,
    id: &'a str,
    name: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    reading: Amounts,
    filled_in: bool,
}

/// Amounts by name, in order.
struct Amounts(Vec<(&'static str, Amount)>);

impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, amount)| (name, amount)))
    }
}

/// A number, with its unit if the meter has one.
#[derive(Serialize)]
#[serde(untagged)]
enum Amount {
    WithUnit(Quantity),
    Bare {
        #[serde(serialize_with = "serialize_decimal")]
        value: Decimal,
    },
}

impl Amount {
    fn new(meter: &Meter, quantity: Quantity) -> Self {
        if meter.unit.is_some() {
            return Amount::WithUnit(quantity);
        }
        Amount::Bare {
            value: quantity.value,
        }
    }
}

fn radio(reading: &Reading, meter: &Meter, registers: &Registers) -> serde_json::Result<String> {
    let message = &reading.message;
    let total = || Amount::new(meter, meter.scaled_total(registers.main));
    let mut amounts = vec![(meter.counter_name(), total())];
    let part = |(name, counts)| (name, Amount::new(meter, meter.scaled_amount(counts)));
    amounts.extend(registers.parts().map(part));
    if registers.export.is_some() {
        amounts.push(("net", total()));
    }
    let home = HomeFields {
        id: message.id().to_string(),
        name: meter.name.as_deref(),
        commodity: meter.commodity(message),
        reading: Amounts(amounts),
        flags: message.flags(),
    };
    serde_json::to_string(&RtlamrLine::new(reading, Some(home), true))
}

fn interval_of(meter: &Meter, id: &str, interval: &Interval) -> serde_json::Result<String> {
    let begin = interval.end.checked_sub(SignedDuration::from_secs(INTERVAL_S));
    let used = Amount::new(meter, meter.scaled_amount(interval.counts.into()));
    let total = Amount::new(meter, meter.scaled_total(interval.total));
    serde_json::to_string(&IntervalFields {
        time: interval.end,
        begin: begin.ok(),
        id,
        name: meter.name.as_deref(),
        kind: INTERVAL,
        reading: Amounts(vec![("interval", used), (meter.counter_name(), total)]),
        filled_in: interval.is_filled_in,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tests::{NET_IDM, SCM, reading};
    use crate::meter::Factor;
    use metertap_decode::ert::{Kind, Message, R900};
    use std::sync::Arc;

    fn water() -> Meter {
        Meter {
            name: Some("Water".into()),
            commodity: Some(Commodity::Water),
            unit: Some("gal".into()),
            scale: Factor::new(0.1),
            ..Meter::default()
        }
    }

    fn event(meter: Option<Meter>) -> ReadingEvent {
        ReadingEvent::from_radio(Box::new(reading(Kind::Scm, SCM)), meter.map(Arc::new))
    }

    #[test]
    fn given_a_configured_meter_then_its_name_commodity_and_scaled_total_follow_rtlamrs_members() {
        let event = event(Some(water()));
        let json = json(&event);
        assert!(
            json.contains(
                r#""ChecksumVal":7504},"id":"12345678","name":"Water","commodity":"water","reading":{"total":{"value":97458.2,"unit":"gal"}},"signal":{"#
            ),
            "{json}"
        );
    }

    #[test]
    fn given_a_meter_without_a_unit_then_the_reading_is_a_count() {
        let event = event(None);
        let json = json(&event);
        assert!(json.contains(r#""reading":{"count":{"value":974582}}"#), "{json}");
    }

    #[test]
    fn given_a_net_meter_then_import_export_and_net_are_values() {
        let meter = Meter {
            unit: Some("kWh".into()),
            scale: Factor::new(0.001),
            ..Meter::default()
        };
        let event = ReadingEvent::from_radio(Box::new(reading(Kind::NetIdm, NET_IDM)), Some(Arc::new(meter)));
        let expected = r#""reading":{"total":{"value":0.333,"unit":"kWh"},"import":{"value":0.111,"unit":"kWh"},"export":{"value":0.222,"unit":"kWh"},"net":{"value":0.333,"unit":"kWh"}}"#;
        assert!(json(&event).contains(expected), "{}", json(&event));
    }

    #[test]
    fn given_an_r900_with_flags_then_they_are_told_in_words() {
        let message = Message::R900(R900 {
            id: 1_500_000_000,
            unkn1: 163,
            no_use: 33,
            back_flow: 1,
            consumption: 5,
            unkn3: 0,
            leak: 6,
            leak_now: 2,
            parity: 0,
        });
        let reading = Reading {
            message,
            ..reading(Kind::Scm, SCM)
        };
        let event = ReadingEvent::from_radio(Box::new(reading), None);
        let expected =
            r#""flags":{"leak_now":"continuous","leak_days":"35+","backflow":"low","no_use_days":"1-2"}"#;
        assert!(json(&event).contains(expected), "{}", json(&event));
    }

    #[test]
    fn given_several_sinks_then_the_object_is_produced_once() {
        let event = event(None);
        let first = json(&event).as_ptr();
        assert_eq!(json(&event).as_ptr(), first);
    }

    #[test]
    fn given_an_interval_then_its_consumption_comes_before_the_counter() {
        for (meter, expected) in [
            (
                water(),
                r#"{"time":"2026-01-15T12:00:00Z","begin":"2026-01-15T11:55:00Z","id":"7","name":"Water","type":"interval","reading":{"interval":{"value":0.3,"unit":"gal"},"total":{"value":50.0,"unit":"gal"}},"filled_in":true}"#,
            ),
            (
                Meter::default(),
                r#"{"time":"2026-01-15T12:00:00Z","begin":"2026-01-15T11:55:00Z","id":"7","name":null,"type":"interval","reading":{"interval":{"value":3},"count":{"value":500}},"filled_in":true}"#,
            ),
        ] {
            let interval = Interval {
                end: "2026-01-15T12:00:00Z".parse().unwrap(),
                counts: 3,
                total: 500,
                is_filled_in: true,
            };
            let event = ReadingEvent::from_interval("7".into(), interval, Arc::new(meter));
            assert_eq!(json(&event), expected);
        }
    }
}
