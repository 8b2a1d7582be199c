//! Components of a device: one sensor per value, keyed by its unique id.

use crate::meter::event::ReadingEvent;
use crate::meter::throttle::PublishRate;
use crate::meter::{Reading, WireReading};
use crate::publish::homeassistant::class::{Class, counter, of_field};
use crate::publish::message::topic_id;
use metertap_decode::ert::R900Flags;
use metertap_decode::report::Value as Field;
use serde_json::{Map, Value, json};

/// Seconds after which a momentary value (power, voltage, flow) of a meter that pushes is no longer valid.
const EXPIRY_S: u32 = 300;

/// Components by unique id.
pub type Components = Map<String, Value>;

/// Sensors of a radio meter: its counter, signal quality, and time of the last reading.
pub fn of_radio(event: &ReadingEvent, reading: &Reading) -> Components {
    let (id, message) = (&event.id, &reading.message);
    let meter = event.meter_or_default();
    let key = meter.counter_name();
    let total = counter(
        meter.commodity(message),
        meter.unit.as_deref(),
        meter.device_class.as_deref(),
    );
    let mut components = Components::new();
    let template = format!("{{{{ value_json.reading.{key}.value }}}}");
    // Without a name of its own, the sensor has that of the device.
    add(&mut components, id, key, Value::Null, &total, &template);
    // Home Assistant's energy dashboard takes import and export, not their difference.
    for (key, _) in event.registers.parts() {
        let template = format!("{{{{ value_json.reading.{key}.value }}}}");
        let name = json!(display_name(key));
        add(&mut components, id, key, name, &total, &template);
    }
    if let Some(flags) = message.flags() {
        add_flags(&mut components, id, &flags);
    }
    let snr = Class::measurement("signal_strength", "dB").diagnostic();
    let corrected = Class::number().diagnostic();
    for (key, field, name, class) in [
        ("snr", "snr_db", "Signal to noise", &snr),
        ("corrected", "corrected", "Corrected bits", &corrected),
    ] {
        let template = format!("{{{{ value_json.signal.{field} }}}}");
        add(&mut components, id, key, json!(name), class, &template);
    }
    add_last_seen(&mut components, id, "{{ value_json.Time }}");
    components
}

/// Adds the sensors of the flags that are known, and one that is on while water leaks.
fn add_flags(components: &mut Components, id: &str, flags: &R900Flags) {
    let template = |flag: &str, value: &str| {
        format!(
            "{{{{ {value} if value_json.flags is defined and value_json.flags.{flag} is defined else None }}}}"
        )
    };
    for (flag, value, name) in [
        ("leak_now", flags.leak_now, "Leak now"),
        ("leak_days", flags.leak_days, "Days with a leak"),
        ("backflow", flags.backflow, "Backflow"),
        ("no_use_days", flags.no_use_days, "Days without use"),
    ] {
        if value.is_some() {
            let template = template(flag, &format!("value_json.flags.{flag}"));
            add(components, id, flag, json!(name), &Class::text(), &template);
        }
    }
    if flags.leak_now.is_some() {
        let unique_id = format!("metertap_{}_leak", topic_id(id));
        let component = json!({
            "platform": "binary_sensor",
            "device_class": "problem",
            "unique_id": unique_id,
            "name": "Leak",
            "value_template": template("leak_now", "('OFF' if value_json.flags.leak_now == 'none' else 'ON')"),
        });
        components.insert(unique_id, component);
    }
}

/// Adds the sensors of a wired meter's reading that `components` does not have. Telegrams of one meter differ in their
/// fields, so sensors accumulate.
pub fn add_wire(components: &mut Components, event: &ReadingEvent, reading: &WireReading) {
    let (id, reading_type) = (&reading.report.id, reading.report.reading_type);
    let rate = event
        .meter
        .as_ref()
        .and_then(|meter| meter.rate)
        .unwrap_or_default();
    let medium = text_field(reading, "medium");
    for (name, field) in &reading.report.reading.0 {
        let Some((class, path)) = of_field(name, field, reading_type, medium) else {
            continue;
        };
        let template = format!("{{{{ value_json.reading.{name}{path} }}}}");
        let class = match (reading_type.pushes(), expiry_s(rate)) {
            (true, Some(expiry_s)) => class.expiring(expiry_s),
            _ => class,
        };
        add(components, id, name, json!(display_name(name)), &class, &template);
    }
    add_last_seen(components, id, "{{ value_json.time }}");
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

/// Seconds for which a momentary value is valid if readings are published at `rate`; `None`: until it changes.
fn expiry_s(rate: PublishRate) -> Option<u32> {
    match rate {
        PublishRate::Every => Some(EXPIRY_S),
        PublishRate::Once(every) => Some(EXPIRY_S.max(3 * every.as_secs() as u32)),
        PublishRate::Change => None,
    }
}

/// Adds a sensor, unless there is one with its unique id.
fn add(components: &mut Components, id: &str, key: &str, name: Value, class: &Class, template: &str) {
    let unique_id = format!("metertap_{}_{key}", topic_id(id));
    if components.contains_key(&unique_id) {
        return;
    }
    let mut component = class.component();
    component.insert("unique_id".into(), json!(unique_id));
    component.insert("name".into(), name);
    component.insert("value_template".into(), json!(template));
    components.insert(unique_id, Value::Object(component));
}

fn add_last_seen(components: &mut Components, id: &str, template: &str) {
    let class = Class::time().diagnostic();
    add(components, id, "last_seen", json!("Last seen"), &class, template);
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
}
