//! smartmeter2mqtt's JSON object of a telegram.

use crate::format::p1::{Objects, local_time, number, plain, text_of};
use jiff::civil::DateTime;
use metertap_decode::p1::Object;
use serde_json::{Map, Value, json};

/// smartmeter2mqtt's object of a telegram.
pub fn telegram_object(telegram: &[u8]) -> Option<String> {
    let text = text_of(telegram);
    let objects = Objects::of(&text)?;
    Some(serde_json::Value::Object(reading(&objects)).to_string())
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Sample {
    Word,
    Number,
    Time,
    Gas,
}
use Sample::{Gas, Number, Time, Word};

/// Codes and what they are called there; all others are left out.
const FIELDS: [(&str, &str, Sample); 34] = [
    ("1-3:0.2.8", "p1Version", Word),
    ("0-0:1.0.0", "powerTs", Time),
    ("0-0:96.1.1", "powerSn", Word),
    ("1-0:1.8.1", "totalT1Use", Number),
    ("1-0:1.8.2", "totalT2Use", Number),
    ("1-0:2.8.1", "totalT1Delivered", Number),
    ("1-0:2.8.2", "totalT2Delivered", Number),
    ("0-0:96.14.0", "currentTarrif", Number),
    ("1-0:1.7.0", "currentUsage", Number),
    ("1-0:2.7.0", "currentDelivery", Number),
    ("0-0:96.7.21", "powerFailures", Number),
    ("0-0:96.7.9", "longPowerFailures", Number),
    ("1-0:32.32.0", "voltageSagsL1", Number),
    ("1-0:52.32.0", "voltageSagsL2", Number),
    ("1-0:72.32.0", "voltageSagsL3", Number),
    ("1-0:32.36.0", "voltageSwellsL1", Number),
    ("1-0:52.36.0", "voltageSwellsL2", Number),
    ("1-0:72.36.0", "voltageSwellsL3", Number),
    ("1-0:32.7.0", "voltageL1", Number),
    ("1-0:52.7.0", "voltageL2", Number),
    ("1-0:72.7.0", "voltageL3", Number),
    ("1-0:31.7.0", "currentL1", Number),
    ("1-0:51.7.0", "currentL2", Number),
    ("1-0:71.7.0", "currentL3", Number),
    ("1-0:21.7.0", "currentUsageL1", Number),
    ("1-0:41.7.0", "currentUsageL2", Number),
    ("1-0:61.7.0", "currentUsageL3", Number),
    ("1-0:22.7.0", "currentDeliveryL1", Number),
    ("1-0:42.7.0", "currentDeliveryL2", Number),
    ("1-0:62.7.0", "currentDeliveryL3", Number),
    ("0-1:24.1.0", "xDeviceType", Word),
    ("0-1:96.1.0", "xGasSn", Word),
    ("0-1:24.2.1", "xGas", Gas),
    // Belgium's code; the program did not know it.
    ("0-1:24.2.3", "xGas", Gas),
];

/// As [`FIELDS`] on the second channel.
const SECOND: [(&str, &str, Sample); 3] = [
    ("0-2:24.1.0", "deviceType", Word),
    ("0-2:96.1.0", "gasSn", Word),
    ("0-2:24.2.1", "gas", Gas),
];

/// The telegram as one object; keys stand in the order of the telegram.
pub fn reading(objects: &Objects) -> Map<String, Value> {
    let mut reading = Map::new();
    reading.insert("crc".into(), json!(true));
    reading.insert("header".into(), json!(objects.0.identification));
    for object in &objects.0.objects {
        let code = object.obis.to_string();
        let field = FIELDS.iter().chain(&SECOND).find(|(known, ..)| *known == code);
        let value = field.and_then(|(_, _, sample)| sampled(object, *sample));
        if let (Some((_, name, _)), Some(value)) = (field, value) {
            reading.insert((*name).into(), value);
        }
    }
    let power = |code| objects.number(code).unwrap_or_default();
    let usage_w = ((power("1-0:1.7.0") - power("1-0:2.7.0")) * 1000.0).round() as i64;
    reading.insert("calculatedUsage".into(), json!(usage_w));
    reading
}

fn sampled(object: &Object, sample: Sample) -> Option<Value> {
    let first = *object.groups.first()?;
    match sample {
        Word => Some(json!(first)),
        Number => number(first).map(plain),
        Time => local_time(first).map(Value::String),
        Gas => Some(json!({"ts": local_time(first)?, "totalUse": plain(number(object.groups.get(1)?)?)})),
    }
}

/// Winter time of the meter's clock, in seconds.
pub fn seconds(group: &str) -> Option<i64> {
    let local: DateTime = local_time(group)?.parse().ok()?;
    let summer = if group.ends_with('S') { 3600 } else { 0 };
    Some(
        local
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second()
            - summer,
    )
}
