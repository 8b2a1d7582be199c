//! Home Assistant's MQTT discovery over a real mosquitto, checked against a schema written from its documentation.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{TcpListener, TcpStream};

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
fn check(topic: &str, payload: &Value) {
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
fn rendered(template: &str, payload: &str) -> String {
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
fn check_together(announced: &BTreeMap<String, Value>, states: &[(String, String)]) {
    let (mut unique_ids, mut devices) = (BTreeSet::new(), BTreeSet::new());
    for (topic, payload) in announced {
        check(topic, payload);
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

fn config(broker: &Broker, more: &str) -> String {
    let root = root().display();
    format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nretain = true\n[homeassistant]\n\
         [[radio]]\nsource = \"{root}/{STREET}\"\n\
         [[wire]]\nprotocol = \"p1\"\nsource = \"{root}/testdata/p1/belgium.txt\"\n\
         [[wire]]\nprotocol = \"p1\"\nsource = \"{root}/testdata/p1/four-sub-meters.txt\"\n{more}",
        broker.port
    )
}

const METERS: &str = "[[meter]]\nid = 12345678\nname = \"Water\"\nunit = \"gal\"\nscale = 0.1\narea = \"Cellar\"\n\
                      [[meter]]\nid = \"MTPBE0001\"\nname = \"House\"\n";

fn start(config: &str) -> Daemon {
    let daemon = Daemon::start(config);
    daemon.expect_log(NO_TIME);
    daemon
}

/// All retained JSON messages under a topic.
fn retained(broker: &Broker, topic: &str) -> BTreeMap<String, Value> {
    let messages = broker.retained(topic).into_iter();
    messages
        .filter_map(|(topic, payload)| Some((topic, serde_json::from_str(&payload).ok()?)))
        .collect()
}

#[test]
fn given_meters_that_send_sml_and_tic_then_their_sensors_have_classes_and_templates_that_match() {
    let broker = Broker::start();
    let root = root().display();
    let mut daemon = Daemon::start(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nretain = true\n[homeassistant]\n\
         [[wire]]\nprotocol = \"sml\"\nsource = \"{root}/testdata/sml/mme40.bin\"\n\
         [[wire]]\nprotocol = \"tic\"\nsource = \"{root}/testdata/tic/producer.bin\"\n",
        broker.port
    ));
    daemon.wait_for_success();
    let states = retained(&broker, "readings/metertap/meters/+/state");
    for (id, sensor, class) in [
        ("1MTP0000000042_sml", "1MTP0000000042_power_net", "power"),
        (
            "1MTP0000000042_sml",
            "1MTP0000000042_energy_export_total",
            "energy",
        ),
        ("041234567890_tic", "041234567890_energy_import_total", "energy"),
        ("041234567890_tic", "041234567890_voltage_l1", "voltage"),
    ] {
        let topic = format!("homeassistant/device/metertap_{id}/config");
        let payload = &retained(&broker, &topic)[&topic];
        check(&topic, payload);
        let state = states[payload["state_topic"].as_str().unwrap()].to_string();
        let components = payload["components"].as_object().unwrap();
        assert_eq!(
            components[&format!("metertap_{sensor}")]["device_class"],
            class,
            "{payload}"
        );
        for component in components.values() {
            let found = rendered(component["value_template"].as_str().unwrap(), &state);
            assert!(!["", "none"].contains(&found.as_str()), "{component} in {state}");
        }
    }
}

#[test]
fn given_configured_meters_then_each_is_announced_with_templates_that_match() {
    let broker = Broker::start();
    let mut daemon = start(&config(&broker, METERS));
    daemon.wait_for_success();
    let announced = retained(&broker, "homeassistant/device/+/config");
    let is_meter = |topic: &&str| !topic.contains("metertap_daemon_");
    let topics: Vec<&str> = announced.keys().map(String::as_str).filter(is_meter).collect();
    assert_eq!(
        topics,
        [
            "homeassistant/device/metertap_12345678_scm/config",
            "homeassistant/device/metertap_MTPBE0001_p1/config",
            "homeassistant/device/metertap_MTPBE0002_gas/config",
            "homeassistant/device/metertap_MTPBE0003_water/config",
            "homeassistant/device/metertap_MTPFU0001_p1/config",
            "homeassistant/device/metertap_MTPFU0002_water/config",
            "homeassistant/device/metertap_MTPFU0003_warm_water/config",
            "homeassistant/device/metertap_MTPFU0004_heat/config",
            "homeassistant/device/metertap_MTPFU0005_gas/config",
        ],
        "and no neighbour: {}",
        daemon.log()
    );
    let readings = retained(&broker, "readings/+/+");
    let states = retained(&broker, "readings/metertap/meters/+/state");
    let mut compared = 0;
    for (topic, payload) in &announced {
        check(topic, payload);
        if topic.contains("metertap_daemon_") {
            let names = payload["components"]
                .as_object()
                .unwrap()
                .values()
                .map(|one| &one["name"]);
            let mut names: Vec<&str> = names.filter_map(Value::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["Connected", "wire0", "wire1"], "{payload}");
            continue;
        }
        let state = states[payload["state_topic"].as_str().unwrap()].to_string();
        for component in payload["components"].as_object().unwrap().values() {
            let found = rendered(component["value_template"].as_str().unwrap(), &state);
            assert!(
                !["", "none"].contains(&found.as_str()),
                "{topic}: {component} in {state}"
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
    let water = &announced["homeassistant/device/metertap_12345678_scm/config"];
    assert_eq!(water["device"]["name"], "Water");
    assert_eq!(water["device"]["suggested_area"], "Cellar");
    assert_eq!(
        water["components"]["metertap_12345678_total"].to_string(),
        r#"{"platform":"sensor","device_class":"water","state_class":"total","unit_of_measurement":"gal","suggested_display_precision":1,"name":null,"unique_id":"metertap_12345678_total","value_template":"{{ value_json['total'] | default('') if value_json is defined else '' }}"}"#
    );
    let reading = &readings["readings/12345678/scm"];
    let keys: Vec<&str> = reading.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "Time",
            "Offset",
            "Length",
            "Type",
            "Message",
            "id",
            "name",
            "commodity",
            "reading",
            "signal"
        ],
        "rtlamr's keys, and ours beside them"
    );
    let counts = reading["Message"]["Consumption"].as_f64().unwrap();
    let total = &reading["reading"]["total"];
    assert!((total["value"].as_f64().unwrap() - counts / 10.0).abs() < 1e-9 && total["unit"] == "gal");
    assert_eq!(readings["readings/MTPBE0001/p1"]["name"], "House");
    let power = &announced["homeassistant/device/metertap_MTPBE0001_p1/config"]["components"]["metertap_MTPBE0001_power_export"];
    assert_eq!(
        (&power["state_class"], &power["name"]),
        (&"measurement".into(), &"Power export".into())
    );
}

#[test]
fn given_discovery_by_sensor_then_device_messages_are_replaced() {
    let broker = Broker::start();
    let mut daemon = start(&config(&broker, METERS));
    daemon.wait_for_success();
    let by_device = retained(&broker, "homeassistant/device/+/config");
    let wanted: usize = by_device
        .values()
        .map(|one| one["components"].as_object().unwrap().len())
        .sum();
    let one_by_one =
        config(&broker, METERS).replace("[homeassistant]", "[homeassistant]\ndiscovery = \"sensor\"");
    let bridge = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let waiting = format!(
        "[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
        bridge.local_addr().unwrap()
    );
    let daemon = start(&(one_by_one + &waiting));
    let sensors = || retained(&broker, "homeassistant/+/+/+/config");
    // One more: the port that waits.
    wait_for("all sensors", || sensors().len() == wanted + 1);
    wait_for("the devices to be gone", || {
        retained(&broker, "homeassistant/device/+/config").is_empty()
    });
    let sensors = sensors();
    let total = &sensors["homeassistant/sensor/metertap_12345678_scm/metertap_12345678_total/config"];
    for key in [
        "device",
        "origin",
        "availability",
        "state_topic",
        "unique_id",
        "value_template",
        "device_class",
    ] {
        assert!(!total[key].is_null(), "{key}: {total}");
    }
    assert!(
        total["platform"].is_null() && total["components"].is_null(),
        "{total}"
    );
    let connected = &sensors["homeassistant/binary_sensor/metertap_daemon_readings_metertap_status/metertap_daemon_readings_metertap_status_status/config"];
    assert_eq!(connected["device_class"], "connectivity", "{}", daemon.log());
}

#[test]
fn given_unknown_meters_wanted_then_they_are_announced_and_a_class_may_be_chosen() {
    let broker = Broker::start();
    let neighbours = config(
        &broker,
        "[[meter]]\nid = 12345678\nunit = \"gal\"\ndevice_class = \"volume\"\n",
    )
    .replace("[homeassistant]", "[homeassistant]\nunknown_meters = true");
    let mut daemon = start(&("publish = \"all\"\n".to_owned() + &neighbours));
    daemon.wait_for_success();
    let announced = retained(&broker, "homeassistant/device/+/config");
    check_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
    let radio = announced
        .keys()
        .filter(|topic| topic.ends_with("_scm/config"))
        .count();
    assert!(radio > 3, "{announced:?}");
    let water = &announced["homeassistant/device/metertap_12345678_scm/config"]["components"]["metertap_12345678_total"];
    assert_eq!(water["device_class"], "volume");
}

#[test]
fn given_a_meter_no_longer_configured_then_only_its_announcement_is_removed() {
    let broker = Broker::start();
    let old = r#"{"device":{"identifiers":["metertap_999"],"name":"Old","serial_number":"999"},"origin":{"name":"metertap"},"availability":[{"topic":"readings/metertap/status"}],"state_topic":"readings/999/scm","components":{}}"#;
    let (ours, theirs) = (
        "homeassistant/device/metertap_999_scm/config",
        "homeassistant/device/zigbee/config",
    );
    let other = old.replace("readings/metertap/status", "attic/metertap/status");
    broker.publish(ours, old, &["-r"]);
    broker.publish(theirs, r#"{"origin":{"name":"Zigbee2MQTT"}}"#, &["-r"]);
    broker.publish("homeassistant/device/metertap_998_scm/config", &other, &["-r"]);
    let bridge = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = start(&config(
        &broker,
        &format!(
            "{METERS}[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
            bridge.local_addr().unwrap()
        ),
    ));
    daemon.wait_for_log("Stale announcement deleted");
    wait_for("the removal", || {
        !retained(&broker, "homeassistant/device/+/config").contains_key(ours)
    });
    let left = retained(&broker, "homeassistant/device/+/config");
    assert!(left.contains_key(theirs) && left.contains_key("homeassistant/device/metertap_998_scm/config"));
}

#[test]
fn given_home_assistant_restarts_then_everything_is_announced_again() {
    let broker = Broker::start();
    let bridge = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = start(&config(
        &broker,
        &format!(
            "{METERS}[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
            bridge.local_addr().unwrap()
        ),
    ));
    wait_for("the announcements", || {
        retained(&broker, "homeassistant/device/+/config").len() == 10
    });
    // Somebody wipes the broker clean, and Home Assistant starts.
    for topic in retained(&broker, "homeassistant/device/+/config").keys() {
        broker.publish(topic, "", &["-r"]);
    }
    assert!(retained(&broker, "homeassistant/device/+/config").is_empty());
    broker.publish("homeassistant/status", "online", &[]);
    wait_for("the announcements again", || {
        retained(&broker, "homeassistant/device/+/config").len() == 10
    });
    daemon.wait_for_log("Home Assistant has started");
}

#[test]
fn given_an_invalid_section_then_the_mistake_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    for (section, reason) in [
        (
            "[[meter]]\nid = 1\ncommodity = \"water\"\nunit = \"kWh\"",
            "invalid unit = \"kWh\" of water: expected CCF",
        ),
        (
            "[[meter]]\nid = 1\ncommodity = \"watter\"",
            "`watter` is not a commodity",
        ),
        (
            "[[meter]]\nid = 1\n[[meter]]\nid = \"1\"",
            "[[meter]] 2: id 1 is there twice",
        ),
        (
            "[[meter]]\nid = 1\nscale = 0",
            "scale = 0 makes every reading the same",
        ),
        (
            "[[meter]]\nid = 1\nunit = \"kWh\"\ndevice_class = \"gas\"",
            "Home Assistant refuses device_class = \"gas\" with unit = \"kWh\": expected L, m³",
        ),
        (
            "[mqtt]\nhost = \"x\"\ninstance = \"a/b\"",
            "mqtt.instance = \"a/b\" cannot be one level",
        ),
        (
            "[mqtt]\nhost = \"x\"\n[homeassistant]\nconfiguration_url = \"pi:8080\"",
            "is no address of a page: write http://host:8080",
        ),
        ("[homeassistant]", "[homeassistant] has no effect without [mqtt]"),
        (
            "[mqtt]\nhost = \"x\"\n[homeassistant]\nprefix = \"a/#\"",
            "homeassistant.prefix = \"a/#\"",
        ),
    ] {
        std::fs::write(&file, format!("{section}\n[[radio]]\nsource = \"rtlsdr\"\n")).unwrap();
        let output = metertap().args(["run", "--config"]).arg(&file).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && stderr.contains(reason),
            "{section}: {stderr}"
        );
    }
}

/// A bridge to which a daemon connects.
struct Bridge(TcpListener);

impl Bridge {
    fn new() -> Self {
        Bridge(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn wire(&self, name: &str) -> String {
        let address = self.0.local_addr().unwrap();
        format!("[[wire]]\nname = \"{name}\"\nprotocol = \"p1\"\nsource = \"tcp://{address}\"\n")
    }

    fn accept(&self) -> TcpStream {
        self.0.accept().unwrap().0
    }
}

/// A telegram of the meter `id` with these lines.
fn telegram(id: &str, lines: &[&str]) -> Vec<u8> {
    let id: String = id.bytes().map(|byte| format!("{byte:02X}")).collect();
    seal(
        &format!("/MTP5x\n\n0-0:96.1.1({id})\n{}\n", lines.join("\n")),
        true,
    )
}

fn mqtt(broker: &Broker, more: &str) -> String {
    format!(
        "[mqtt]\nhost = \"127.0.0.1:{}\"\n{more}\n[homeassistant]\n",
        broker.port
    )
}

/// The latest value of a meter, as Home Assistant would show it.
fn value(broker: &Broker, meter: &str, key: &str) -> Value {
    let topic = format!("readings/metertap/meters/{meter}/state");
    retained(broker, &topic)
        .get(&topic)
        .map_or(Value::Null, |state| state[key].clone())
}

fn wait_for_value(broker: &Broker, meter: &str, key: &str, expected: &Value) {
    wait_for(&format!("{key} = {expected}"), || {
        value(broker, meter, key) == *expected
    });
}

#[test]
fn given_messages_with_different_fields_then_all_values_are_kept_also_by_the_next_process() {
    let (broker, bridge) = (Broker::start(), Bridge::new());
    let config = mqtt(&broker, "") + &bridge.wire("hall");
    let daemon = Daemon::start(&config);
    let mut line = bridge.accept();
    line.write_all(&telegram(
        "A",
        &["1-0:1.8.0(000100.500*kWh)", "1-0:1.7.0(00.500*kW)"],
    ))
    .unwrap();
    line.write_all(&telegram("A", &["1-0:1.7.0(00.700*kW)"])).unwrap();
    wait_for_value(&broker, "A", "power_import", &json!(0.7));
    assert_eq!(value(&broker, "A", "energy_import_total"), json!(100.5));
    // The next process receives the short message only.
    drop((daemon, line));
    let daemon = Daemon::start(&config);
    let mut line = bridge.accept();
    line.write_all(&telegram("A", &["1-0:32.7.0(230.1*V)"])).unwrap();
    wait_for_value(&broker, "A", "voltage_l1", &json!(230.1));
    assert_eq!(
        value(&broker, "A", "energy_import_total"),
        json!(100.5),
        "{}",
        daemon.log()
    );
    assert_eq!(value(&broker, "A", "power_import"), Value::Null, "too old by now");
    let announced = retained(&broker, "homeassistant/device/+/config");
    check_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
    let components = &announced["homeassistant/device/metertap_A_p1/config"]["components"];
    for sensor in ["energy_import_total", "power_import", "voltage_l1"] {
        assert!(
            components[format!("metertap_A_{sensor}")].is_object(),
            "{components}"
        );
    }
}

#[test]
fn given_a_counter_that_wraps_or_a_meter_that_is_exchanged_then_its_total_goes_on_also_in_the_next_process() {
    let (broker, bridge) = (Broker::start(), Bridge::new());
    let config = mqtt(&broker, "") + &bridge.wire("hall") + "[[meter]]\nid = \"A\"\ndigits = 5\n";
    let import = |n: &str| telegram("A", &[&format!("1-0:1.8.0({n}*kWh)")]);
    let total = |expected: f64| wait_for_value(&broker, "A", "energy_import_total", &json!(expected));
    let daemon = Daemon::start(&config);
    let mut line = bridge.accept();
    line.write_all(&import("99997.5")).unwrap();
    total(99_997.5);
    line.write_all(&import("00002.5")).unwrap();
    total(100_002.5);
    drop((daemon, line));
    let daemon = Daemon::start(&config);
    let mut line = bridge.accept();
    line.write_all(&import("00013.5")).unwrap();
    total(100_013.5);
    // Another meter in its place, accepted with its second reading.
    daemon.expect_log("Reading is not plausible");
    line.write_all(&import("70000.5")).unwrap();
    line.write_all(&import("70001.5")).unwrap();
    line.write_all(&import("70002.5")).unwrap();
    wait_for("a total that goes on", || {
        let total = value(&broker, "A", "energy_import_total")
            .as_f64()
            .unwrap_or_default();
        total > 100_013.5 && total < 100_020.0
    });
}

#[test]
fn given_a_unit_that_is_added_then_the_sensor_is_replaced_and_the_connection_stays() {
    let (broker, dongles) = (Broker::start(), Dongles::plugged("00000042"));
    let radio = "[[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\ngain = 28.0\n";
    let meter = |more: &str| format!("{}{radio}[[meter]]\nid = 12345678\n{more}", mqtt(&broker, ""));
    let daemon = Daemon::start_with(&meter(""), |command| dongles.plug_into(command));
    let topic = "homeassistant/device/metertap_12345678_scm/config";
    let components = || {
        retained(&broker, topic)
            .get(topic)
            .map_or(Value::Null, |one| one["components"].clone())
    };
    wait_for("the count", || {
        components()["metertap_12345678_count"]["unique_id"].is_string()
    });
    daemon.reload(
        &meter("unit = \"gal\"\nname = \"Water\"\n"),
        "Configuration reloaded",
    );
    wait_for("the total", || {
        components()["metertap_12345678_total"]["unique_id"].is_string()
    });
    assert_eq!(
        components()["metertap_12345678_count"],
        json!({"platform": "sensor"}),
        "Home Assistant removes a component of which the platform alone is left"
    );
    assert_eq!(retained(&broker, topic)[topic]["device"]["name"], "Water");
    assert_eq!(
        daemon.log().matches("Connected to the broker").count(),
        1,
        "{}",
        daemon.log()
    );
    // Without the meter nothing of it is left.
    daemon.reload(
        &format!("publish = \"listed\"\n{}{radio}", mqtt(&broker, "")),
        "Configuration reloaded",
    );
    wait_for("the end of the meter", || {
        retained(&broker, topic).is_empty() && broker.retained("readings/metertap/meters/+/+").is_empty()
    });
    assert_eq!(
        daemon.log().matches("Connected to the broker").count(),
        1,
        "{}",
        daemon.log()
    );
}

#[test]
fn given_a_wire_that_is_removed_while_metertap_is_stopped_then_nothing_of_it_is_left() {
    let (broker, one, two) = (Broker::start(), Bridge::new(), Bridge::new());
    let daemon = Daemon::start(&format!(
        "{}{}{}",
        mqtt(&broker, ""),
        one.wire("radio"),
        two.wire("two")
    ));
    let (mut line_one, mut line_two) = (one.accept(), two.accept());
    line_one
        .write_all(&telegram("A", &["1-0:1.8.0(000100.500*kWh)"]))
        .unwrap();
    line_two
        .write_all(&telegram("B", &["1-0:1.8.0(000200.500*kWh)"]))
        .unwrap();
    let topics = || {
        let topics = ["readings/metertap/#", "homeassistant/device/+/config"];
        let all = topics.iter().flat_map(|topic| broker.retained(topic));
        all.map(|(topic, _)| topic).collect::<Vec<_>>()
    };
    let has = |part: &str| topics().iter().any(|topic| topic.contains(part));
    wait_for("both meters", || has("metertap_A_p1") && has("metertap_B_p1"));
    drop((daemon, line_one, line_two));
    let daemon = Daemon::start(&format!("{}{}", mqtt(&broker, ""), one.wire("radio")));
    let _line = one.accept();
    wait_for("the end of the second", || {
        !has("metertap_B_p1") && !has("/two/") && !has("meters/B/")
    });
    assert!(
        has("metertap_A_p1") && has("meters/A/availability"),
        "{:?}",
        topics()
    );
    let daemons = retained(&broker, "homeassistant/device/+/config");
    let daemons: Vec<&Value> = daemons
        .iter()
        .filter(|(topic, _)| topic.contains("_daemon_"))
        .map(|(_, one)| one)
        .collect();
    let of_two = &daemons[0]["components"]["metertap_daemon_readings_metertap_status_two"];
    assert_eq!(*of_two, json!({"platform": "binary_sensor"}), "{}", daemon.log());
}

#[test]
fn given_two_installations_with_names_then_neither_touches_what_is_the_others() {
    let (broker, one, two) = (Broker::start(), Bridge::new(), Bridge::new());
    // Each has a machine of its own, and so its own client id.
    let config = |machine: &str, name: &str, bridge: &Bridge| {
        let keys = format!("instance = \"{name}\"\nclient_id = \"{machine}\"");
        mqtt(&broker, &keys) + &bridge.wire("hall")
    };
    let attic = Daemon::start(&config("a", "attic", &one));
    let mut line = one.accept();
    line.write_all(&telegram("A", &["1-0:1.8.0(000100.500*kWh)"]))
        .unwrap();
    let announced = || retained(&broker, "homeassistant/device/+/config");
    wait_for("the attic's announcements", || announced().len() == 2);
    let cellar = Daemon::start(&config("b", "cellar", &two));
    let mut line_two = two.accept();
    line_two
        .write_all(&telegram("B", &["1-0:1.8.0(000200.500*kWh)"]))
        .unwrap();
    wait_for("the cellar's announcements", || announced().len() == 4);
    check_together(
        &announced(),
        &broker.retained("readings/metertap/+/meters/+/state"),
    );
    drop((cellar, line_two));
    let status = |name: &str| {
        broker
            .retained(&format!("readings/metertap/{name}/status"))
            .pop()
            .map(|(_, text)| text)
    };
    wait_for("the cellar's end", || {
        status("cellar").as_deref() == Some("offline")
    });
    assert_eq!(status("attic").as_deref(), Some("online"));
    assert_eq!(announced().len(), 4);
    assert!(!attic.log().contains("Stale announcement"), "{}", attic.log());
    // A third one with the first one's name: both say so.
    let third = Daemon::start(&config("c", "attic", &two));
    for daemon in [&attic, &third] {
        daemon.wait_for_log("Another metertap uses the same names");
    }
}

#[test]
fn given_an_installation_of_before_there_were_names_then_its_entities_keep_their_ids() {
    let (broker, bridge) = (Broker::start(), Bridge::new());
    let wire = bridge.wire("hall");
    let before = Daemon::start(&(mqtt(&broker, "instance = \"\"") + &wire));
    let mut line = bridge.accept();
    line.write_all(&telegram("A", &["1-0:1.8.0(000100.500*kWh)"]))
        .unwrap();
    let ids = || {
        let announced = retained(&broker, "homeassistant/device/+/config").into_values();
        let ids = announced.flat_map(|one| {
            one["components"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        });
        ids.collect::<BTreeSet<String>>()
    };
    wait_for("the announcements", || ids().len() > 3);
    let earlier = ids();
    drop((before, line));
    let named = Daemon::start(&(mqtt(&broker, "instance = \"attic\"") + &wire));
    let mut line = bridge.accept();
    line.write_all(&telegram("A", &["1-0:1.8.0(000100.500*kWh)"]))
        .unwrap();
    wait_for("announcements under the name", || {
        let announced = retained(&broker, "homeassistant/device/+/config");
        announced.len() == 2
            && announced
                .values()
                .all(|one| one["availability"][0]["topic"] == "readings/metertap/attic/status")
    });
    assert_eq!(ids(), earlier, "{}", named.log());
    wait_for("the end of the receiver without a name", || {
        broker.retained("readings/metertap/hall/state").is_empty()
    });
}

#[test]
fn given_scm_and_idm_of_one_meter_then_they_are_one_device() {
    let dir = tempfile::tempdir().unwrap();
    let (scenario, recording) = (dir.path().join("both.toml"), dir.path().join("both.cu8"));
    let meter = |kind: &str, at: f64| {
        format!(
            "[[meter]]\ntype = \"{kind}\"\nid = 33445566\nert_type = 7\nconsumption = 48213\nat = {at}\noffset_hz = 100000\nsnr_db = 20.0\n"
        )
    };
    let head = "seed = 1\nseconds = 1.0\nsample_rate = 1048576\ncenter_freq = 912600155\nnoise_dbfs = -26.0\nstart = \"2026-01-31T12:00:00Z\"\n";
    std::fs::write(
        &scenario,
        format!(
            "{head}{}{}{}",
            meter("scm", 0.1),
            meter("idm", 0.3),
            meter("scm", 0.6)
        ),
    )
    .unwrap();
    let made = metertap()
        .arg("synth")
        .arg(&scenario)
        .arg("-o")
        .arg(&recording)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let broker = Broker::start();
    let radio = format!(
        "[[radio]]\nsource = \"{}\"\nsample_rate = 1048576\n",
        recording.display()
    );
    let meter = "[[meter]]\nid = 33445566\nprotocol = [\"scm\", \"idm\"]\nunit = \"kWh\"\n";
    let mut daemon = start(&format!("{}{radio}{meter}", mqtt(&broker, "retain = true")));
    daemon.wait_for_success();
    let readings: Vec<String> = broker
        .retained("readings/33445566/+")
        .into_iter()
        .map(|(topic, _)| topic)
        .collect();
    assert_eq!(readings.len(), 2, "{readings:?}");
    let announced = retained(&broker, "homeassistant/device/+/config");
    check_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
    assert_eq!(announced.len(), 2, "the meter and metertap: {announced:?}");
}
