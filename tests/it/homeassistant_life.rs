//! Life of what is announced to Home Assistant: values that are kept, counters that go on, changes of the configuration, several
//! installations.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use metertap_decode::wmbus::Address;
use metertap_decode::wmbus::encode::{Protection, Sender};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

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
    retained_json(broker, &topic)
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
    let announced = retained_json(&broker, "homeassistant/device/+/config");
    assert_valid_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
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
fn given_no_meter_in_the_configuration_then_log_check_and_page_say_what_to_do_next_until_there_is_one() {
    let (broker, dongles, port) = (Broker::start(), Dongles::plugged("00000042"), free_port());
    let page = format!("[web]\nlisten = \"127.0.0.1:{port}\"\n");
    let radio = "[[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\ngain = 28.0\n";
    let config = format!("{}{page}{radio}", mqtt(&broker, ""));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &config).unwrap();
    let advice = "metertap find --reading NUMBER";
    let out = run(&["check", "--config", file.path().to_str().unwrap()]);
    let printed = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(printed.contains(advice), "{printed}");
    let daemon = Daemon::start_with(&config, |command| dongles.plug_into(command));
    daemon.wait_for_log(advice);
    let browser = Browser::start(1200, 1000);
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    browser.open(&format!("http://127.0.0.1:{port}/"));
    let hint = "document.querySelector('#hint:not([hidden])')";
    browser.wait("the advice", &format!("{hint}?.textContent.includes('{advice}')"));
    daemon.reload(
        &format!("{config}[[meter]]\nid = 12345678\nunit = \"gal\"\n"),
        "Configuration reloaded",
    );
    browser.wait("its end", &format!("{hint} === null"));
}

#[test]
fn given_a_unit_that_is_added_then_the_sensor_is_replaced_and_the_connection_stays() {
    let (broker, dongles) = (Broker::start(), Dongles::plugged("00000042"));
    let radio = "[[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\ngain = 28.0\n";
    let meter = |more: &str| format!("{}{radio}[[meter]]\nid = 12345678\n{more}", mqtt(&broker, ""));
    let daemon = Daemon::start_with(&meter(""), |command| dongles.plug_into(command));
    let topic = "homeassistant/device/metertap_12345678_scm/config";
    let components = || {
        retained_json(&broker, topic)
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
    assert_eq!(retained_json(&broker, topic)[topic]["device"]["name"], "Water");
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
        retained_json(&broker, topic).is_empty() && broker.retained("readings/metertap/meters/+/+").is_empty()
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
    let daemons = retained_json(&broker, "homeassistant/device/+/config");
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
    let announced = || retained_json(&broker, "homeassistant/device/+/config");
    wait_for("the attic's announcements", || announced().len() == 2);
    let cellar = Daemon::start(&config("b", "cellar", &two));
    let mut line_two = two.accept();
    line_two
        .write_all(&telegram("B", &["1-0:1.8.0(000200.500*kWh)"]))
        .unwrap();
    wait_for("the cellar's announcements", || announced().len() == 4);
    assert_valid_together(
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
        let announced = retained_json(&broker, "homeassistant/device/+/config").into_values();
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
        let announced = retained_json(&broker, "homeassistant/device/+/config");
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
fn given_the_status_of_a_wireless_meter_then_its_battery_and_fault_are_binary_sensors_and_stored_values_are_disabled()
 {
    let (broker, pty) = (Broker::start(), Pty::open());
    let wire = format!(
        "[[wire]]\nname = \"air\"\nsource = \"{}\"\nprotocol = \"wmbus\"\n",
        pty.port.display()
    );
    let daemon = Daemon::start(&(mqtt(&broker, "") + &wire + "[[meter]]\nid = \"12345678\"\n"));
    daemon.wait_for_log("Port opened");
    // A volume of 1.234 m3, and one of 1 m3 at the set day. The status says low power.
    let records = [0x04, 0x13, 0xD2, 0x04, 0, 0, 0x44, 0x13, 0xE8, 0x03, 0, 0];
    let mut sender = Sender {
        radio: Address {
            manufacturer: 0x2C2D,
            identification: [0x78, 0x56, 0x34, 0x12],
            version: 0x1B,
            device_type: 0x16,
        },
        meter: None,
        access_number: 1,
        status: 0x04,
        protection: Protection::None,
    };
    let mut line = pty.meter();
    let mut send = |sender: &Sender| {
        let telegram = data_encoding::HEXUPPER.encode(&sender.telegram(&records).unwrap());
        writeln!(line, "{telegram}").unwrap();
    };
    send(&sender);
    wait_for_value(&broker, "12345678", "battery_low", &json!("ON"));
    assert_eq!(value(&broker, "12345678", "fault"), "OFF");
    (sender.access_number, sender.status) = (2, 0x08);
    send(&sender);
    wait_for_value(&broker, "12345678", "battery_low", &json!("OFF"));
    assert_eq!(value(&broker, "12345678", "fault"), "ON");
    let announced = retained_json(&broker, "homeassistant/device/+/config");
    assert_valid_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
    let components = &announced["homeassistant/device/metertap_12345678_wmbus/config"]["components"];
    for (key, attribute, expected) in [
        ("battery_low", "device_class", json!("battery")),
        ("fault", "device_class", json!("problem")),
        ("volume", "enabled_by_default", Value::Null),
        ("volume_storage_1", "enabled_by_default", json!(false)),
    ] {
        let component = &components[format!("metertap_12345678_{key}")];
        assert_eq!(component[attribute], expected, "{key}: {component}");
    }
}
