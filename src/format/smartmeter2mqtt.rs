//! smartmeter2mqtt's JSON object of a P1 telegram.

use crate::format::p1::{TelegramObjects, json_number, local_time, number, telegram_text};
use jiff::civil::DateTime;
use metertap_decode::p1::Object;
use serde_json::{Map, Value, json};

/// Formats a telegram as smartmeter2mqtt's object; `None` if the bytes are no telegram.
pub fn telegram_object(telegram: &[u8]) -> Option<String> {
    let text = telegram_text(telegram);
    let objects = TelegramObjects::parse(&text)?;
    Some(Value::Object(reading(&objects)).to_string())
}

/// Conversion of an object to JSON.
#[derive(Clone, Copy)]
enum Conversion {
    /// First group as text.
    Text,
    /// First group as a number.
    Number,
    /// First group as a local time.
    Time,
    /// Local time and number of the two groups of a gas meter.
    Gas,
}
use Conversion::{Gas, Number, Text, Time};

/// Codes of objects and their keys; other objects are left out.
const FIELDS: [(&str, &str, Conversion); 34] = [
    ("1-3:0.2.8", "p1Version", Text),
    ("0-0:1.0.0", "powerTs", Time),
    ("0-0:96.1.1", "powerSn", Text),
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
    ("0-1:24.1.0", "xDeviceType", Text),
    ("0-1:96.1.0", "xGasSn", Text),
    ("0-1:24.2.1", "xGas", Gas),
    // Used in Belgium; not known to smartmeter2mqtt.
    ("0-1:24.2.3", "xGas", Gas),
];

/// Further [`FIELDS`], of the meter on the second M-Bus channel.
const SECOND_CHANNEL: [(&str, &str, Conversion); 3] = [
    ("0-2:24.1.0", "deviceType", Text),
    ("0-2:96.1.0", "gasSn", Text),
    ("0-2:24.2.1", "gas", Gas),
];

/// Builds smartmeter2mqtt's object; keys are in the order of the telegram.
pub fn reading(objects: &TelegramObjects) -> Map<String, Value> {
    let mut reading = Map::new();
    reading.insert("crc".into(), json!(true));
    reading.insert("header".into(), json!(objects.0.identification));
    for object in &objects.0.objects {
        let code = object.obis.to_string();
        let field = FIELDS
            .iter()
            .chain(&SECOND_CHANNEL)
            .find(|(known, ..)| *known == code);
        let value = field.and_then(|(_, _, conversion)| convert(object, *conversion));
        if let (Some((_, name, _)), Some(value)) = (field, value) {
            reading.insert((*name).into(), value);
        }
    }
    let power = |code| objects.number(code).unwrap_or_default();
    let usage_w = ((power("1-0:1.7.0") - power("1-0:2.7.0")) * 1000.0).round() as i64;
    reading.insert("calculatedUsage".into(), json!(usage_w));
    reading
}

fn convert(object: &Object, conversion: Conversion) -> Option<Value> {
    let first = *object.groups.first()?;
    match conversion {
        Text => Some(json!(first)),
        Number => number(first).map(json_number),
        Time => local_time(first).map(Value::String),
        Gas => {
            Some(json!({"ts": local_time(first)?, "totalUse": json_number(number(object.groups.get(1)?)?)}))
        }
    }
}

/// Converts the meter's local time to seconds since 1970 in standard time, as if that were UTC.
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
