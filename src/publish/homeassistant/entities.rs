//! Entities of a reading: one per value, with the value as it is now.

use crate::meter::continuity::Bounds;
use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::registers::NET_IDM_RANGE;
use crate::meter::{Factor, Reading, WireReading};
use crate::publish::homeassistant::class::{Class, Lifetime, of_counter, of_number};
use crate::publish::message::topic_id;
use metertap_decode::ert::{Kind, Message};
use metertap_decode::quantity::{Decimal, shifted};
use metertap_decode::report::Value as Field;
use serde_json::{Map, Value, json};

/// Entities of one device, at most; an M-Bus meter sends some dozens of values.
pub const MAX_ENTITIES: usize = 200;
/// Decimal places shown, at most.
const MAX_PLACES: u32 = 3;
/// Words in fields that say that all is well.
const WELL: [&str; 7] = ["", "0", "no", "none", "off", "ok", "false"];
/// Flags by the part of a field's name: device class of the binary sensor.
const FLAGS: [(&str, &str); 7] = [
    ("leak", "problem"),
    ("burst", "problem"),
    ("backflow", "problem"),
    ("no_consumption", "problem"),
    ("no_use", "problem"),
    ("tamper", "tamper"),
    ("battery_low", "battery"),
];

/// One value of a meter, and how Home Assistant shows it.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Name among those of the meter: its unique id is `metertap_<meter>_<key>`, and its value has this key in the state.
    pub key: String,
    /// Component of the device.
    pub component: Value,
    /// Present value.
    pub value: EntityValue,
}

/// Value with its lifetime.
#[derive(Clone, Debug, PartialEq)]
pub enum EntityValue {
    /// Number of a counter; its total is what is published.
    Counter(Decimal, Bounds),
    /// Valid until it is replaced.
    Lasting(Value),
    /// Valid for a moment only.
    Momentary(Value),
}

/// Collects the entities of one meter.
struct Entities {
    id: String,
    list: Vec<Entity>,
}

/// Returns the entities of a reading; none for an interval. `has_other_types`: the meter sends other types of messages as well.
pub fn entities(event: &ReadingEvent, has_other_types: bool) -> Vec<Entity> {
    let mut entities = Entities {
        id: topic_id(&event.id),
        list: Vec::new(),
    };
    match &event.origin {
        Origin::Radio(reading) => entities.add_radio(event, reading, has_other_types),
        Origin::Wire(reading) => entities.add_wire(event, reading),
        Origin::Interval(_) => return Vec::new(),
    }
    let last_seen = json!(event.received_at().to_string());
    let class = Class::time().diagnostic();
    entities.add(
        "last_seen",
        json!("Last seen"),
        &class,
        None,
        EntityValue::Lasting(last_seen),
    );
    entities.list
}

/// Turns a number into JSON: whole numbers without a point.
pub fn number(decimal: &Decimal) -> Value {
    let text = decimal.normalize().to_string();
    let whole = text.parse::<i64>().map(Value::from);
    whole.unwrap_or_else(|_| json!(text.parse::<f64>().unwrap_or_default()))
}

impl Entities {
    /// Adds the counter, registers and flags of a radio message, and its signal quality.
    fn add_radio(&mut self, event: &ReadingEvent, reading: &Reading, has_other_types: bool) {
        let message = &reading.message;
        let meter = event.meter_or_default();
        let unit = meter.unit.as_deref();
        let device_class =
            unit.and_then(|unit| of_counter(meter.commodity(message), unit, meter.device_class.as_deref()));
        let counter = Class::counter(device_class, unit);
        let value = |counts: i64, range: i64, is_total: bool| {
            let quantity = match is_total {
                true => meter.scaled_total(counts),
                false => meter.scaled_amount(counts),
            };
            let scale = meter.scale.unwrap_or(Factor::ONE).to_f64().abs();
            let bounds = Bounds {
                per_hour: meter.count_limits(message).rate_per_hour() * scale,
                wraps_at: Some(meter.scaled_amount(range).value.abs()),
            };
            (quantity.value, bounds)
        };
        let range = meter.digits.map_or_else(
            || message.counter_range(),
            |digits| 10i64.saturating_pow(digits.into()),
        );
        let (total, bounds) = value(event.registers.main, range, true);
        let places = Some(total.scale());
        if meter.may_fall(message.kind()) {
            // Beside another counter of the meter it is not the one that the device is about.
            let is_beside = has_other_types && message.kind() == Kind::NetIdm;
            let key = if is_beside { "net" } else { meter.counter_name() };
            let class = Class::net(unit);
            let value = EntityValue::Lasting(number(&total));
            self.add(key, json!("Net"), &class, places, value);
        } else {
            // Without a name of its own, the sensor has that of the device.
            let value = EntityValue::Counter(total, bounds);
            self.add(meter.counter_name(), Value::Null, &counter, places, value);
        }
        // Home Assistant's energy dashboard takes import and export, not their difference.
        for (key, counts) in event.registers.parts() {
            let (total, bounds) = value(counts, NET_IDM_RANGE, false);
            let value = EntityValue::Counter(total, bounds);
            self.add(key, json!(display_name(key)), &counter, places, value);
        }
        self.add_radio_flags(message);
        let decibel = Class::measurement("signal_strength", "dB")
            .diagnostic()
            .disabled();
        let snr = EntityValue::Momentary(json!(reading.signal.snr_db));
        self.add("snr", json!("Signal to noise"), &decibel, Some(1), snr);
        let class = Class::number().diagnostic().disabled();
        let corrected = EntityValue::Momentary(json!(reading.signal.corrected));
        self.add("corrected", json!("Corrected bits"), &class, Some(0), corrected);
    }

    fn add_radio_flags(&mut self, message: &Message) {
        if let Some(flags) = message.flags() {
            for (key, flag, name) in [
                ("leak_now", flags.leak_now, "Leak now"),
                ("leak_days", flags.leak_days, "Days with a leak"),
                ("backflow", flags.backflow, "Backflow"),
                ("no_use_days", flags.no_use_days, "Days without use"),
            ] {
                if let Some(flag) = flag {
                    let value = EntityValue::Lasting(json!(flag));
                    self.add(key, json!(name), &Class::text(), None, value);
                }
            }
            let days = |flag: Option<&str>| flag.map(|days| days != "0");
            let present = |flag: Option<&str>| flag.map(|flag| flag != "none");
            for (key, is_on, name) in [
                ("leak", present(flags.leak_now), "Leak"),
                ("backflow_detected", present(flags.backflow), "Backflow detected"),
                ("no_use", days(flags.no_use_days), "No use"),
            ] {
                if let Some(is_on) = is_on {
                    // A meter that nobody uses is no problem in itself.
                    let class = (key != "no_use").then_some("problem");
                    self.add_flag(key, name, class, true, is_on);
                }
            }
        }
        let tamper = match message {
            Message::Scm(m) => Some(m.tamper_phy != 0 || m.tamper_enc != 0),
            Message::ScmPlus(m) => Some(m.tamper != 0),
            Message::Idm(m) => Some(m.tamper_counters.iter().any(|count| *count > 0)),
            _ => None,
        };
        if let Some(is_on) = tamper {
            // Counters of a few bits, which many meters have above zero since they were installed.
            self.add_flag("tamper", "Tamper", Some("tamper"), false, is_on);
        }
    }

    /// Adds the values of a wired meter that Home Assistant can show.
    fn add_wire(&mut self, event: &ReadingEvent, reading: &WireReading) {
        let meter = event.meter_or_default();
        let bounds = Bounds {
            per_hour: meter.limits().rate_per_hour(),
            wraps_at: meter
                .digits
                .map(|digits| 10i64.saturating_pow(digits.into()).into()),
        };
        let reading_type = reading.report.reading_type;
        let medium = text_field(reading, "medium");
        for (name, field) in &reading.report.reading.0 {
            let flag = FLAGS.iter().find(|(part, _)| name.contains(part));
            match (field, flag) {
                (Field::Quantity(quantity) | Field::Demand { quantity, .. }, _) => {
                    let Some(class) = of_number(name, &quantity.unit, reading_type, medium) else {
                        continue;
                    };
                    let decimal = match quantity.unit.as_str() {
                        "l/h" => shifted(quantity.value, -3).unwrap_or(quantity.value),
                        _ => quantity.value,
                    };
                    let places = Some(decimal.scale());
                    let value = match class.lifetime {
                        Lifetime::Counter => EntityValue::Counter(decimal, bounds),
                        Lifetime::Lasting => EntityValue::Lasting(number(&decimal)),
                        Lifetime::Momentary => EntityValue::Momentary(number(&decimal)),
                    };
                    self.add(name, json!(display_name(name)), &class, places, value);
                }
                (Field::Count(count), Some((_, class))) => {
                    self.add_flag(name, &display_name(name), Some(class), true, *count > 0);
                }
                (Field::Text(text), Some((_, class))) => {
                    let is_on = !WELL.contains(&text.to_lowercase().as_str());
                    self.add_flag(name, &display_name(name), Some(class), true, is_on);
                }
                (Field::Count(count), None)
                    if name.starts_with("power_failures") || name.starts_with("voltage_s") =>
                {
                    let class = Class::events().diagnostic().disabled();
                    let value = EntityValue::Lasting(json!(count));
                    self.add(name, json!(display_name(name)), &class, None, value);
                }
                (Field::Count(count), None) if name == "tariff" => {
                    let value = EntityValue::Lasting(json!(count.to_string()));
                    self.add(name, json!("Tariff"), &Class::text(), None, value);
                }
                (Field::Text(text), None) if name == "tariff" => {
                    let value = EntityValue::Lasting(json!(text));
                    self.add(name, json!("Tariff"), &Class::text(), None, value);
                }
                _ => {}
            }
        }
    }

    /// Adds a sensor, unless there is one with its key or too many.
    fn add(&mut self, key: &str, name: Value, class: &Class, places: Option<u32>, value: EntityValue) {
        let mut component = class.component(places.map(|places| places.min(MAX_PLACES)));
        component.insert("name".into(), name);
        // An empty state is ignored where a number is expected. `value_json` is not there when the state is deleted.
        let missing =
            match component.contains_key("state_class") || component.contains_key("unit_of_measurement") {
                true => "''",
                false => "None",
            };
        self.put(key, component, missing, value);
    }

    fn add_flag(&mut self, key: &str, name: &str, class: Option<&str>, is_enabled: bool, is_on: bool) {
        let mut component = Map::new();
        component.insert("platform".into(), json!("binary_sensor"));
        component.extend(class.map(|class| ("device_class".into(), json!(class))));
        component.extend((class != Some("problem")).then(|| ("entity_category".into(), json!("diagnostic"))));
        component.extend((!is_enabled).then(|| ("enabled_by_default".into(), json!(false))));
        component.insert("name".into(), json!(name));
        let value = EntityValue::Lasting(json!(if is_on { "ON" } else { "OFF" }));
        self.put(key, component, "None", value);
    }

    fn put(&mut self, key: &str, mut component: Map<String, Value>, missing: &str, value: EntityValue) {
        let key = key.replace(['\'', '\\'], "_");
        if self.list.len() >= MAX_ENTITIES || self.list.iter().any(|entity| entity.key == key) {
            return;
        }
        component.insert("unique_id".into(), json!(format!("metertap_{}_{key}", self.id)));
        let template = format!(
            "{{{{ value_json['{key}'] | default({missing}) if value_json is defined else {missing} }}}}"
        );
        component.insert("value_template".into(), json!(template));
        self.list.push(Entity {
            key,
            component: Value::Object(component),
            value,
        });
    }
}

/// Returns the text of a field, if it is one.
pub fn text_field<'a>(reading: &'a WireReading, name: &str) -> Option<&'a str> {
    match reading.report.reading.get(name) {
        Some(Field::Text(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// Turns the name of a field into one for people: `energy_import_t1` into `Energy import T1`.
pub fn display_name(name: &str) -> String {
    let words = name
        .split('_')
        .enumerate()
        .map(|(i, word)| match word.as_bytes() {
            [b'l' | b't', b'0'..=b'9', ..] => word.to_uppercase(),
            [first, rest @ ..] if i == 0 => {
                format!(
                    "{}{}",
                    char::from(first.to_ascii_uppercase()),
                    String::from_utf8_lossy(rest)
                )
            }
            _ => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_name_of_a_field_then_it_is_spelled_for_people() {
        for (name, expected) in [
            ("energy_import_t1", "Energy import T1"),
            ("voltage_l1", "Voltage L1"),
            ("tariff", "Tariff"),
        ] {
            assert_eq!(display_name(name), expected);
        }
    }

    #[test]
    fn given_a_decimal_then_it_is_a_number_of_json_without_needless_digits() {
        for (decimal, expected) in [
            ("4821.30", "4821.3"),
            ("17", "17"),
            ("17.000", "17"),
            ("-0.5", "-0.5"),
        ] {
            assert_eq!(number(&decimal.parse().unwrap()).to_string(), expected);
        }
    }
}
