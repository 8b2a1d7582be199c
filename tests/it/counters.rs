//! Everything that is counted is visible: in the metrics, the API and the state topic; and the alerting rules that are shipped
//! fire.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

const RULES: &str = "packaging/prometheus-alerts.yaml";
const RULES_TEST: &str = "packaging/prometheus-alerts-test.yaml";

fn get(port: u16, path: &str) -> String {
    let mut answer = ureq::get(format!("http://127.0.0.1:{port}{path}"))
        .call()
        .unwrap();
    answer.body_mut().read_to_string().unwrap()
}

fn telegram(kwh: u32) -> Vec<u8> {
    let text = format!("/MTP5count\n\n0-0:96.1.1(4D31)\n1-0:1.8.0({kwh:06}.000*kWh)\n");
    seal(&text, true)
}

/// A daemon in which much is counted, its meter's line, and the port of its page.
fn daemon(broker: &Broker) -> (Daemon, TcpStream, u16) {
    let meter = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, root, nobody) = (free_port(), root(), free_port());
    let daemon = Daemon::start(&format!(
        "publish = \"all\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n[mqtt]\nhost = \"{}\"\n\
         [[output]]\nkind = \"http\"\nname = \"cloud\"\nurl = \"http://127.0.0.1:{nobody}/\"\ntries = 1\n\
         [[radio]]\nname = \"roof\"\nsource = \"{}\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n\
         [[meter]]\nid = \"M1\"\nname = \"Grid\"\nrate = 3600\n",
        broker.url(),
        root.join(STREET).display(),
        meter.local_addr().unwrap()
    ));
    daemon.expect_log(NO_TIME);
    for expected in [
        "Output failed",
        "readings are lost",
        "Decoding failed",
        "Reading is not plausible",
        // Its line ends with the test.
        "onnection refused",
    ] {
        daemon.expect_log(expected);
    }
    (daemon, meter.accept().unwrap().0, port)
}

#[test]
fn given_readings_of_every_fate_then_each_is_counted_in_the_metrics_the_api_and_the_state_topic() {
    let broker = Broker::start();
    let (mut daemon, mut meter, port) = daemon(&broker);
    // One is published; the second and third are replaced before their time, the fourth waits for it.
    for kwh in 1..=4 {
        meter.write_all(&telegram(kwh)).unwrap();
    }
    meter.write_all(&telegram(900_000_000 / 1000)).unwrap();
    let mut broken = telegram(5);
    broken[20] ^= 1;
    meter.write_all(&broken).unwrap();
    daemon.wait_for("the street", || daemon.log().contains("Receiver ended"));
    daemon.wait_for("all counters", || {
        let text = get(port, "/metrics");
        let lines = [
            "metertap_readings_throttled_total 2",
            "metertap_readings_implausible_total 1",
            "metertap_readings_merged_total 0",
            "metertap_readings_refused_total{id=\"M1\",reason=\"",
            "metertap_port_reports_total{port=\"hall\"} 5",
            "metertap_port_errors_total{port=\"hall\"} 1",
            "metertap_port_errors_by_kind_total{port=\"hall\",kind=\"",
            "metertap_radio_dropped_bursts_total{port=\"roof\"} 0",
            "metertap_radio_refused_frames_total{port=\"roof\"} 0",
            "metertap_restarts_total 0",
            "metertap_panics_total 0",
            "metertap_sink_lost_by_reason_total{sink=\"cloud\",reason=\"given_up\"} ",
        ];
        let missing: Vec<&str> = lines.into_iter().filter(|line| !text.contains(line)).collect();
        println!("missing: {missing:?}");
        missing.is_empty()
    });
    let number = |name: &str| {
        let text = get(port, "/metrics");
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        value.unwrap_or_else(|| panic!("{name}: {text}"))
    };
    let packets = number("metertap_radio_packets_total{port=\"roof\"}");
    let published = number("metertap_readings_published_total");
    assert!(
        packets > 15 && published > packets / 2,
        "{packets} packets, {published} readings"
    );
    let status: Value = serde_json::from_str(&get(port, "/api/status")).unwrap();
    assert_eq!(
        status["readings"],
        serde_json::json!({"published": published, "throttled": 2, "implausible": 1, "merged": 0})
    );
    let hall = &status["receivers"]["hall"];
    assert_eq!((&hall["reports"], &hall["state"]), (&5.into(), &"up".into()));
    // The last state is published at the end; it names no neighbor.
    daemon.stop();
    let retained = broker.retained("readings/metertap/state/counters");
    let state: Value = serde_json::from_str(&retained[0].1).unwrap();
    assert_eq!(state["readings"]["throttled"], 2, "{state}");
    assert_eq!(state["receivers"]["hall"]["reports"], 5, "{state}");
    assert_eq!(
        state["refused"].as_object().unwrap().values().collect::<Vec<_>>(),
        [1]
    );
    let cloud = state["sinks"].as_array().unwrap().iter();
    let cloud = cloud.clone().find(|sink| sink["name"] == "cloud").unwrap();
    assert!(cloud["lost_by_reason"]["given_up"].as_u64() > Some(0), "{state}");
}

/// Names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("metertap_")).collect()
}

#[test]
fn every_alert_watches_metrics_that_are_there_from_the_start_and_is_tested() {
    let broker = Broker::start();
    let (daemon, mut meter, port) = daemon(&broker);
    meter.write_all(&telegram(1)).unwrap();
    daemon.wait_for("the meter", || get(port, "/metrics").contains("id=\"M1\""));
    let exported = get(port, "/metrics");
    let rules = std::fs::read_to_string(root().join(RULES)).unwrap();
    let tests = std::fs::read_to_string(root().join(RULES_TEST)).unwrap();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert_eq!(
            tests.matches(&format!("alertname: {name}")).count(),
            2,
            "{name} is to be tested in {RULES_TEST}: that it fires, and that it does not"
        );
        let field = |key: &str| alert.lines().find_map(|line| line.trim().strip_prefix(key));
        let metrics = metrics(field("expr: ").unwrap());
        assert!(!metrics.is_empty(), "{alert}");
        for metric in metrics {
            let is_sample = |line: &&str| {
                line.strip_prefix(metric)
                    .is_some_and(|rest| rest.starts_with([' ', '{']))
            };
            let samples: Vec<&str> = exported.lines().filter(is_sample).collect();
            assert!(
                !samples.is_empty(),
                "{name}: {metric} is not exported: {exported}"
            );
            for label in field("summary: ").unwrap().split("$labels.").skip(1) {
                let label = label.split(' ').next().unwrap();
                let has_label = |sample: &&str| sample.contains(&format!("{label}=\""));
                assert!(
                    samples.iter().all(has_label),
                    "{name}: {metric} has no {label}: {samples:?}"
                );
            }
        }
    }
}

#[needs(promtool)]
#[test]
fn given_what_the_alerts_are_about_then_they_fire_and_otherwise_not() {
    for arguments in [["check", "rules", RULES], ["test", "rules", RULES_TEST]] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
