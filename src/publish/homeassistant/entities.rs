//! Entities of a reading: one per value, with the value as it is now.

use crate::meter::continuity::Bounds;
use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::registers::NET_IDM_RANGE;
use crate::meter::{Factor, Reading, WireReading};
use crate::publish::homeassistant::class::{Class, Lifetime, of_counter, of_number};
use crate::publish::homeassistant::flags::{self, Flag};
use crate::publish::message::topic_id;
use metertap_decode::ert::{Kind, Message};
use metertap_decode::quantity::{Decimal, shifted};
use metertap_decode::report::Value as Field;
use serde_json::{Map, Value, json};

/// Entities of one device, at most; an M-Bus meter sends some dozens of values.
pub const MAX_ENTITIES: usize = 200;
/// Decimal places shown, at most.
const MAX_PLACES: u32 = 3;

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
        }
        self.add_flags(flags::of_radio(message));
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
            match field {
                Field::Quantity(quantity) | Field::Demand { quantity, .. } => {
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
                Field::Count(count)
                    if name.starts_with("power_failures") || name.starts_with("voltage_s") =>
                {
                    let class = Class::events().diagnostic().disabled();
                    let value = EntityValue::Lasting(json!(count));
                    self.add(name, json!(display_name(name)), &class, None, value);
                }
                Field::Count(count) if name == "tariff" => {
                    let value = EntityValue::Lasting(json!(count.to_string()));
                    self.add(name, json!("Tariff"), &Class::text(), None, value);
                }
                Field::Text(text) if name == "tariff" => {
                    let value = EntityValue::Lasting(json!(text));
                    self.add(name, json!("Tariff"), &Class::text(), None, value);
                }
                _ => {}
            }
        }
        self.add_flags(flags::of_wire(&reading.report));
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

    fn add_flags(&mut self, flags: Vec<Flag>) {
        for flag in flags {
            let mut component = Map::new();
            component.insert("platform".into(), json!("binary_sensor"));
            component.extend(flag.class.map(|class| ("device_class".into(), json!(class))));
            let is_problem = flag.class == Some("problem");
            component.extend((!is_problem).then(|| ("entity_category".into(), json!("diagnostic"))));
            component.extend((!flag.is_enabled).then(|| ("enabled_by_default".into(), json!(false))));
            component.insert("name".into(), json!(flag.name));
            let value = EntityValue::Lasting(json!(if flag.is_on { "ON" } else { "OFF" }));
            self.put(flag.key, component, "None", value);
        }
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

    /// Keys of the entities of a P1 telegram with a line `(unit)` for each code: enabled and disabled ones.
    fn of_p1(lines: &[(&str, &[&str])]) -> (Vec<String>, Vec<String>) {
        let lines = lines
            .iter()
            .flat_map(|(value, codes)| codes.iter().map(move |code| format!("1-0:{code}({value})\r\n")));
        let text = format!("/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n{}!", lines.collect::<String>());
        let zone = "Europe/Amsterdam".parse::<metertap_decode::time::Zone>().unwrap();
        let telegram = metertap_decode::p1::Telegram::parse(&text).unwrap();
        split(metertap_decode::p1::readings(&telegram, &zone).remove(0))
    }

    fn split(report: metertap_decode::report::Report) -> (Vec<String>, Vec<String>) {
        let reading = WireReading::new("hall".into(), report, jiff::Timestamp::UNIX_EPOCH);
        let event = ReadingEvent::from_wire(Box::new(reading), None);
        let list = entities(&event, false).into_iter();
        let (enabled, disabled): (Vec<Entity>, Vec<Entity>) =
            list.partition(|entity| entity.component["enabled_by_default"].is_null());
        let keys = |list: Vec<Entity>| list.into_iter().map(|entity| entity.key).collect();
        (keys(enabled), keys(disabled))
    }

    const VOLTAGES: &[&str] = &["32.7.0", "52.7.0", "72.7.0"];
    const CURRENTS: &[&str] = &["31.7.0", "51.7.0", "71.7.0"];

    #[test]
    fn given_a_dsmr_5_meter_then_a_dozen_entities_are_enabled() {
        let (enabled, disabled) = of_p1(&[
            ("000671.578*kWh", &["1.8.1", "1.8.2", "2.8.1", "2.8.2"]),
            ("00.333*kW", &["1.7.0", "2.7.0"]),
            (
                "00.111*kW",
                &["21.7.0", "41.7.0", "61.7.0", "22.7.0", "42.7.0", "62.7.0"],
            ),
            (
                "00002",
                &["32.32.0", "52.32.0", "72.32.0", "32.36.0", "52.36.0", "72.36.0"],
            ),
            ("230.1*V", VOLTAGES),
            ("001*A", CURRENTS),
        ]);
        assert_eq!(
            (enabled.len(), disabled.len()),
            (13, 12),
            "{enabled:?}, {disabled:?}"
        );
    }

    #[test]
    fn given_an_omnipower_with_its_31_values_then_those_by_phase_and_reactive_ones_are_disabled() {
        let (enabled, disabled) = of_p1(&[
            ("000671.578*kWh", &["1.8.0", "2.8.0"]),
            ("000010.500*kvarh", &["3.8.0", "4.8.0"]),
            ("00.333*kW", &["1.7.0", "2.7.0"]),
            ("00.011*kvar", &["3.7.0", "4.7.0"]),
            ("230.1*V", VOLTAGES),
            ("001.50*A", CURRENTS),
            (
                "00.111*kW",
                &["21.7.0", "41.7.0", "61.7.0", "22.7.0", "42.7.0", "62.7.0"],
            ),
            (
                "000200.100*kWh",
                &["21.8.0", "41.8.0", "61.8.0", "22.8.0", "42.8.0", "62.8.0"],
            ),
            ("00.98", &["13.7.0", "33.7.0", "53.7.0", "73.7.0"]),
        ]);
        assert_eq!(
            (enabled.len(), disabled.len()),
            (12, 19),
            "{enabled:?}, {disabled:?}"
        );
    }

    #[test]
    fn given_values_that_an_m_bus_meter_has_stored_then_their_sensors_are_disabled() {
        let mut report =
            metertap_decode::report::Report::new(metertap_decode::report::ReadingType::Mbus, "12345678");
        let volume = |number: i64| {
            Field::Quantity(metertap_decode::quantity::Quantity::new(
                number.into(),
                metertap_decode::unit::Unit::CubicMeter,
            ))
        };
        report.reading.put("volume", volume(20));
        for storage in 1..=40 {
            report
                .reading
                .put(format!("volume_storage_{storage}"), volume(10));
        }
        let (enabled, disabled) = split(report);
        assert_eq!(enabled, ["volume", "last_seen"]);
        assert_eq!(disabled.len(), 40);
    }
}
