//! wmbusmeters: one JSON object per telegram on `wmbusmeters/NAME`, as its `shell` line with mosquitto_pub publishes it; not retained, no status.

mod names;
mod texts;

use crate::meter::WireReading;
use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::message::{BirthAndWill, Message};
use crate::publish::profiles::profile::Profile;
use jiff::{Timestamp, ToSpan};
use metertap_decode::quantity::Quantity;
use metertap_decode::report::{ReadingType, Value as Field};
use metertap_decode::time::MeterTime;
use metertap_decode::unit::Unit;
use names::Driver;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use texts::Source;

/// Keys of `[mqtt.profile]` with `name = "wmbusmeters"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WmbusmetersConfig {
    /// Topic above those of the meters. Default: `"wmbusmeters"`.
    #[serde(default = "default_topic")]
    pub topic: String,
}

fn default_topic() -> String {
    "wmbusmeters".into()
}

/// Profile of wmbusmeters.
pub struct Wmbusmeters(WmbusmetersConfig);

impl Wmbusmeters {
    /// Creates the profile.
    pub fn new(settings: WmbusmetersConfig) -> Self {
        Wmbusmeters(settings)
    }
}

impl Profile for Wmbusmeters {
    fn birth_and_will(&self) -> BirthAndWill {
        BirthAndWill::default()
    }

    fn messages(&mut self, event: &ReadingEvent, _now: Timestamp) -> Vec<Message> {
        let Origin::Wire(reading) = &event.origin else {
            return Vec::new();
        };
        if reading.report.reading_type != ReadingType::Wmbus {
            return Vec::new();
        }
        // wmbusmeters passes the name on as it is; one with these would be another topic, or none.
        let name = event.name().replace(['/', '+', '#'], "_");
        let topic = format!("{}/{name}", self.0.topic);
        let payload = Value::Object(object(event, reading)).to_string();
        vec![Message::reading(topic, payload, false)]
    }
}

/// Returns the object that wmbusmeters prints.
fn object(event: &ReadingEvent, reading: &WireReading) -> Map<String, Value> {
    let fields = &reading.report.reading;
    let text = |name: &str| match fields.get(name) {
        Some(Field::Text(text)) => text.as_str(),
        _ => "",
    };
    let medium = text("medium");
    let (version, device_type) = reading.product.unwrap_or_default();
    let driver = names::driver(text("manufacturer"), version, device_type);
    let mut object = Map::new();
    object.insert("_".into(), json!("telegram"));
    object.insert("media".into(), json!(media(device_type)));
    object.insert("meter".into(), json!(driver.name));
    object.insert("name".into(), json!(event.name()));
    object.insert("id".into(), json!(event.id.to_ascii_lowercase()));
    for (name, field) in &fields.0 {
        if matches!(&**name, "manufacturer" | "medium" | "radio_id" | "status") {
            continue;
        }
        for (key, value) in members(driver, name, field, medium) {
            object.entry(key).or_insert(value);
        }
        for date in texts::earlier(driver.name, name) {
            if let Some(Field::Time(later)) = fields.get(date.from) {
                object.extend(months_before(*later, date.months).map(|time| (date.key, json!(time))));
            }
        }
    }
    let texts = texts::texts(driver.name, status_byte(text("status")), |name| {
        match fields.get(name)? {
            Field::Quantity(quantity) => Some(Source::Number(quantity.value)),
            Field::Count(count) => Some(Source::Number((*count).into())),
            Field::Text(text) => Some(Source::Text(text)),
            _ => None,
        }
    });
    object.extend(texts.into_iter().map(|(key, text)| (key.into(), json!(text))));
    object.insert("timestamp".into(), json!(format!("{:.0}", reading.received)));
    object.insert("device".into(), json!(format!("metertap[{}]", reading.port)));
    object
}

/// Returns a field under the names of the driver, in the units that they end with; or else under its own name, unless a text stands for it.
fn members(driver: &Driver, name: &str, field: &Field, medium: &str) -> Vec<(String, Value)> {
    let mut names = driver.names_of(name, medium);
    if names.is_empty() && !texts::is_used(driver.name, name) {
        names.push(match field {
            Field::Quantity(quantity) => default_name(name, quantity),
            _ => name.into(),
        });
    }
    let members = names.into_iter().filter_map(|key| {
        let value = match field {
            Field::Quantity(quantity) => number(in_unit_of(&key, quantity)),
            Field::Time(time) => {
                let (key, has_seconds) = match key.strip_suffix(":s") {
                    Some(key) => (key.to_owned(), true),
                    None => (key, false),
                };
                return Some((key, json!(time_text(&time.to_string(), has_seconds))));
            }
            Field::Text(text) => json!(text),
            Field::Count(count) => json!(count),
            _ => return None,
        };
        Some((key, value))
    });
    members.collect()
}

/// Returns a time as wmbusmeters prints it: to the minute, or with seconds that are not zero.
fn time_text(time: &str, has_seconds: bool) -> String {
    let text = time.replace('T', " ");
    if has_seconds && !text.ends_with(":00") {
        return text;
    }
    text.get(..16).unwrap_or(&text).to_owned()
}

/// Returns the date so many months before another one; the last day of a month stays the last.
fn months_before(later: MeterTime, months: i64) -> Option<String> {
    let date = match later {
        MeterTime::Date(date) => date,
        MeterTime::DateTime(time) => time.date(),
        _ => return None,
    };
    let earlier = date.checked_sub(months.months()).ok()?;
    let is_last = date.day() == date.days_in_month();
    Some(if is_last { earlier.last_of_month() } else { earlier }.to_string())
}

/// Name of a field that no driver names: its own, and the unit as a suffix.
fn default_name(name: &str, quantity: &Quantity) -> String {
    let suffix = match &quantity.unit {
        Unit::KWh | Unit::GJ | Unit::MWh => "kwh",
        Unit::CubicMeter => "m3",
        Unit::CubicMeterPerHour => "m3h",
        Unit::KW => "kw",
        Unit::Celsius | Unit::Kelvin => "c",
        Unit::V => "v",
        Unit::A => "a",
        Unit::Hz => "hz",
        Unit::Second => "s",
        Unit::Day => "d",
        Unit::Year => "y",
        Unit::Percent => "rh",
        Unit::Bar => "bar",
        Unit::None if name.starts_with("heat_cost_units") => "hca",
        _ => return name.to_owned(),
    };
    format!("{name}_{suffix}")
}

/// Converts a value to the unit with which its name ends.
fn in_unit_of(key: &str, quantity: &Quantity) -> f64 {
    let factor = match (&quantity.unit, key.rsplit('_').next()) {
        (Unit::GJ, Some("kwh")) => 1.0 / 3.6e-3,
        (Unit::MWh, Some("kwh")) => 1000.0,
        (Unit::Second, Some("h")) => 1.0 / 3600.0,
        (Unit::Second, Some("d")) => 1.0 / 86_400.0,
        (Unit::Day, Some("y")) => 1.0 / 365.2425,
        _ => 1.0,
    };
    quantity.to_f64() * factor
}

/// Returns a number as wmbusmeters prints it: six decimal places at most, and none of a whole number.
fn number(value: f64) -> Value {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
        return json!(rounded as i64);
    }
    json!(rounded)
}

/// Returns the name of a device type there.
fn media(device_type: u8) -> &'static str {
    match device_type {
        0x00 => "other",
        0x01 => "oil",
        0x02 => "electricity",
        0x03 => "gas",
        0x04 | 0x43 | 0x45 | 0xC3 => "heat",
        0x05 => "steam",
        0x06 | 0x62 => "warm water",
        0x07 => "water",
        0x08 => "heat cost allocation",
        0x09 => "compressed air",
        0x0A => "cooling load volume at outlet",
        0x0B => "cooling load volume at inlet",
        0x0C => "heat volume at inlet",
        0x0D => "heat/cooling load",
        0x0E => "bus/system component",
        0x15 => "hot water",
        0x16 | 0x72 => "cold water",
        0x17 => "hot/cold water",
        0x18 => "pressure",
        0x19 => "a/d converter",
        0x1A | 0xF0 => "smoke detector",
        0x1B => "room sensor",
        0x1C => "gas detector",
        0x20 => "breaker",
        0x21 => "valve",
        0x25 => "customer unit (display device)",
        0x28 => "waste water",
        0x29 => "garbage",
        0x36 => "radio converter (system side)",
        0x37 => "radio converter (meter side)",
        0x80 => "heat cost allocator",
        0x10..=0x40 => "reserved",
        0x0F => "unknown",
        _ => "Unknown",
    }
}

/// Returns the status byte of which a reading has the names.
fn status_byte(names: &str) -> u8 {
    let bits = names.split_whitespace().map(|name| match name {
        "busy" => 1,
        "application_error" => 2,
        "abnormal_condition" => 3,
        "low_power" => 4,
        "permanent_error" => 8,
        "temporary_error" => 0x10,
        name => name
            .strip_prefix("manufacturer_")
            .and_then(|bits| u8::from_str_radix(bits, 16).ok())
            .unwrap_or_default(),
    });
    bits.fold(0, |status, bits| status | bits)
}
