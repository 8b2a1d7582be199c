//! Announcements of Home Assistant's MQTT discovery over a real mosquitto, checked against a schema written from its documentation.

use crate::support::*;
use serde_json::Value;

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
    let states = retained_json(&broker, "readings/metertap/meters/+/state");
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
        let payload = &retained_json(&broker, &topic)[&topic];
        assert_valid(&topic, payload);
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
    let announced = retained_json(&broker, "homeassistant/device/+/config");
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
    let readings = retained_json(&broker, "readings/+/+");
    let states = retained_json(&broker, "readings/metertap/meters/+/state");
    let mut compared = 0;
    for (topic, payload) in &announced {
        assert_valid(topic, payload);
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
    let by_device = retained_json(&broker, "homeassistant/device/+/config");
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
    let sensors = || retained_json(&broker, "homeassistant/+/+/+/config");
    // One more: the port that waits.
    wait_for("all sensors", || sensors().len() == wanted + 1);
    wait_for("the devices to be gone", || {
        retained_json(&broker, "homeassistant/device/+/config").is_empty()
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
    let announced = retained_json(&broker, "homeassistant/device/+/config");
    assert_valid_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
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
        !retained_json(&broker, "homeassistant/device/+/config").contains_key(ours)
    });
    let left = retained_json(&broker, "homeassistant/device/+/config");
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
        retained_json(&broker, "homeassistant/device/+/config").len() == 10
    });
    // Somebody wipes the broker clean, and Home Assistant starts.
    for topic in retained_json(&broker, "homeassistant/device/+/config").keys() {
        broker.publish(topic, "", &["-r"]);
    }
    assert!(retained_json(&broker, "homeassistant/device/+/config").is_empty());
    broker.publish("homeassistant/status", "online", &[]);
    wait_for("the announcements again", || {
        retained_json(&broker, "homeassistant/device/+/config").len() == 10
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
    let mqtt = format!(
        "[mqtt]\nhost = \"127.0.0.1:{}\"\nretain = true\n[homeassistant]\n",
        broker.port
    );
    let mut daemon = start(&format!("{mqtt}{radio}{meter}"));
    daemon.wait_for_success();
    let readings: Vec<String> = broker
        .retained("readings/33445566/+")
        .into_iter()
        .map(|(topic, _)| topic)
        .collect();
    assert_eq!(readings.len(), 2, "{readings:?}");
    let announced = retained_json(&broker, "homeassistant/device/+/config");
    assert_valid_together(&announced, &broker.retained("readings/metertap/meters/+/state"));
    assert_eq!(announced.len(), 2, "the meter and metertap: {announced:?}");
}
