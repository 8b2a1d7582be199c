//! Schema of Home Assistant's discovery messages, written from its documentation, and its templates.

use super::broker::Broker;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Units of each device class (developers.home-assistant.io, "Sensor entity", as of 2024.11).
const UNITS: &[(&str, &[&str])] = &[
    (
        "energy",
        &[
            "J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal",
        ],
    ),
    ("power", &["mW", "W", "kW", "MW", "GW", "TW"]),
    ("gas", &["m³", "ft³", "CCF"]),
    ("water", &["L", "gal", "m³", "ft³", "CCF"]),
    ("volume", &["L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF"]),
    (
        "volume_flow_rate",
        &["m³/h", "ft³/min", "L/min", "gal/min", "mL/s"],
    ),
    ("voltage", &["V", "mV", "µV"]),
    ("current", &["A", "mA"]),
    ("frequency", &["Hz", "kHz", "MHz", "GHz"]),
    ("temperature", &["°C", "°F", "K"]),
    ("pressure", &["bar", "mbar", "Pa", "kPa"]),
    ("duration", &["d", "h", "min", "s", "ms"]),
    ("power_factor", &["%", ""]),
    ("signal_strength", &["dB", "dBm"]),
    ("timestamp", &[""]),
];

/// Checks a device message key by key.
pub fn assert_valid(topic: &str, payload: &Value) {
    let keys: Vec<&str> = payload.as_object().unwrap().keys().map(String::as_str).collect();
    for key in &keys {
        assert!(
            [
                "device",
                "origin",
                "components",
                "availability",
                "availability_mode",
                "state_topic",
                "qos"
            ]
            .contains(key),
            "{topic}: {key}"
        );
    }
    assert!(
        payload["device"]["identifiers"]
            .as_array()
            .is_some_and(|ids| !ids.is_empty()),
        "{topic}"
    );
    assert!(
        payload["device"]["name"].is_string() && payload["origin"]["name"] == "metertap",
        "{topic}"
    );
    for (key, component) in payload["components"].as_object().unwrap() {
        let place = format!("{topic}: {key}: {component}");
        assert_eq!(component["unique_id"], key.as_str(), "{place}");
        if component["platform"] == "binary_sensor" {
            // https://www.home-assistant.io/integrations/binary_sensor.mqtt
            let class = component["device_class"].as_str();
            assert!(
                matches!(
                    class,
                    None | Some("problem" | "tamper" | "battery" | "connectivity")
                ),
                "{place}"
            );
            // Receivers have states of their own, meters one in common.
            assert_eq!(
                class == Some("connectivity"),
                component["state_topic"].is_string(),
                "{place}"
            );
            continue;
        }
        assert_eq!(component["platform"], "sensor", "{place}");
        let unit = component["unit_of_measurement"].as_str().unwrap_or_default();
        let state = component["state_class"].as_str();
        assert!(
            matches!(state, None | Some("total" | "total_increasing" | "measurement")),
            "{place}"
        );
        if let Some(class) = component["device_class"].as_str() {
            let units = UNITS.iter().find(|(name, _)| *name == class);
            let (_, units) = units.unwrap_or_else(|| panic!("{place}: no such class"));
            assert!(units.contains(&unit), "{place}: no such unit");
            // Long-term statistics depend on it: a counter must not be a measurement, nor the other way round.
            let is_counter = ["energy", "gas", "water", "volume"].contains(&class);
            let is_total = state.is_some_and(|state| state.starts_with("total"));
            let is_past = state.is_none() && component["enabled_by_default"] == false;
            assert!(
                is_counter == (is_total && class != "duration") || is_past,
                "{place}"
            );
        }
        for key in component.as_object().unwrap().keys() {
            let known = [
                "platform",
                "device_class",
                "state_class",
                "unit_of_measurement",
                "entity_category",
                "unique_id",
                "name",
                "value_template",
                "suggested_display_precision",
                "enabled_by_default",
            ];
            assert!(known.contains(&key.as_str()), "{place}: {key}");
        }
    }
}

/// Evaluates a template as Home Assistant does: it is an error if it uses what is not there.
pub fn rendered(template: &str, payload: &str) -> String {
    let mut engine = minijinja::Environment::new();
    engine.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let json = serde_json::from_str::<Value>(payload).ok();
    let context = minijinja::Value::from_pairs(json.iter().map(|json| ("value_json", of_json(json))));
    let result = engine.render_str(template, context);
    result.unwrap_or_else(|error| panic!("{template} of {payload:?}: {error}"))
}

fn of_json(json: &Value) -> minijinja::Value {
    match json {
        Value::Null => ().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => number.as_f64().unwrap().into(),
        Value::String(text) => text.clone().into(),
        Value::Array(list) => list.iter().map(of_json).collect(),
        Value::Object(object) => {
            minijinja::Value::from_pairs(object.iter().map(|(key, value)| (key.clone(), of_json(value))))
        }
    }
}

/// Checks all announcements of a run together, with all states of their meters in that run.
pub fn assert_valid_together(announced: &BTreeMap<String, Value>, states: &[(String, String)]) {
    let (mut unique_ids, mut devices) = (BTreeSet::new(), BTreeSet::new());
    for (topic, payload) in announced {
        assert_valid(topic, payload);
        assert!(
            devices.insert(payload["device"]["identifiers"].to_string()),
            "{topic}: a second message of its device"
        );
        for (unique_id, component) in payload["components"].as_object().unwrap() {
            assert!(unique_ids.insert(unique_id.clone()), "{topic}: {unique_id} twice");
            let state_topic = component["state_topic"]
                .as_str()
                .or(payload["state_topic"].as_str());
            let payloads = states
                .iter()
                .filter(|(topic, _)| Some(topic.as_str()) == state_topic);
            // Deleted, the state is empty; and another version may have written it.
            let payloads = payloads.map(|(_, payload)| payload.as_str()).chain(["", "{}"]);
            let Some(template) = component["value_template"].as_str() else {
                continue;
            };
            for payload in payloads.filter(|payload| !template.contains(".state") || *payload != "{}") {
                rendered(template, payload);
            }
        }
    }
}

/// All retained JSON messages under a topic.
pub fn retained_json(broker: &Broker, topic: &str) -> BTreeMap<String, Value> {
    let messages = broker.retained(topic).into_iter();
    messages
        .filter_map(|(topic, payload)| Some((topic, serde_json::from_str(&payload).ok()?)))
        .collect()
}
