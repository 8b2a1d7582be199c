//! wmbusmeters: one JSON object per telegram on `wmbusmeters/NAME`, as its `shell` line with mosquitto_pub publishes it; not retained, no status.

mod names;

use crate::meter::WireReading;
use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::message::{BirthAndWill, Message};
use crate::publish::profiles::profile::Profile;
use jiff::Timestamp;
use metertap_decode::quantity::Quantity;
use metertap_decode::report::{ReadingType, Value as Field};
use metertap_decode::unit::Unit;
use names::Driver;
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    let driver = names::driver(text("manufacturer"), reading.version.unwrap_or_default(), medium);
    let mut object = Map::new();
    object.insert("_".into(), json!("telegram"));
    object.insert("media".into(), json!(media(medium)));
    object.insert("meter".into(), json!(driver.name));
    object.insert("name".into(), json!(event.name()));
    object.insert("id".into(), json!(event.id.to_ascii_lowercase()));
    for (name, field) in &fields.0 {
        match (&**name, field) {
            ("manufacturer" | "medium" | "radio_id", _) => {}
            ("status", Field::Text(text)) => {
                object.insert("status".into(), json!(status(text)));
            }
            (name, field) => {
                if let Some((key, value)) = member(driver, name, field, medium) {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
    object.insert("timestamp".into(), json!(format!("{:.0}", reading.received)));
    object.insert("device".into(), json!(format!("metertap[{}]", reading.port)));
    object
}

/// Returns a field under the name of the driver, in the unit that its name ends with.
fn member(driver: &Driver, name: &str, field: &Field, medium: &str) -> Option<(String, Value)> {
    match field {
        Field::Quantity(quantity) => {
            let key = driver
                .name_of(name, medium)
                .unwrap_or_else(|| default_name(name, quantity));
            // Numbers of devices are texts there.
            if key == "fabrication_no" {
                return Some((key, json!(quantity.value.to_string())));
            }
            let value = in_unit_of(&key, quantity);
            Some((key, number(value)))
        }
        Field::Time(time) => {
            let time = time.to_string();
            let text = time.replace('T', " ");
            // Minutes are the last that wmbusmeters prints.
            let text = text.get(..16).unwrap_or(&text).to_owned();
            Some((
                driver.name_of(name, medium).unwrap_or_else(|| name.into()),
                json!(text),
            ))
        }
        Field::Text(text) => Some((
            driver.name_of(name, medium).unwrap_or_else(|| name.into()),
            json!(text),
        )),
        Field::Count(count) => Some((
            driver.name_of(name, medium).unwrap_or_else(|| name.into()),
            json!(count),
        )),
        _ => None,
    }
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

/// Returns the name of a medium.
fn media(medium: &str) -> String {
    match medium {
        "heat_cost_allocator" => "heat cost allocation".into(),
        "heat_and_cooling" => "heat/cooling load".into(),
        "cooling" => "cooling load volume at outlet".into(),
        "bus" => "bus/system component".into(),
        other => other.replace('_', " "),
    }
}

/// Returns the bits of the status by their names there.
fn status(names: &str) -> String {
    let words: Vec<String> = names
        .split_whitespace()
        .map(|name| match name {
            "ok" => "OK".into(),
            "low_power" => "POWER_LOW".into(),
            "application_error" => "ERROR".into(),
            "abnormal_condition" => "ALARM".into(),
            name => match name.strip_prefix("manufacturer_") {
                Some(bits) => format!("UNKNOWN_{}", bits.to_ascii_uppercase()),
                None => name.to_ascii_uppercase(),
            },
        })
        .collect();
    words.join(" ")
}
