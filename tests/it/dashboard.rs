//! The dashboard for Grafana: its form, and that what it asks for is there.

use crate::support::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

fn dashboard() -> Value {
    let text = std::fs::read_to_string(root().join("packaging/grafana-dashboard.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

#[test]
fn given_the_form_of_grafana_then_each_panel_has_an_id_a_data_source_and_a_place_of_its_own() {
    let dashboard = dashboard();
    assert_eq!(
        (&dashboard["uid"], &dashboard["title"]),
        (&"metertap".into(), &"metertap".into())
    );
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeMap::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}: a row has 24 columns");
        for (x, y) in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            let other = taken.insert((x, y), title);
            assert!(other.is_none(), "{title} lies on {other:?}");
        }
        let targets = panel["targets"].as_array().unwrap();
        let refs: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str()).collect();
        assert!(!targets.is_empty() && refs.len() == targets.len(), "{title}");
        for source in targets
            .iter()
            .map(|target| &target["datasource"])
            .chain([&panel["datasource"]])
        {
            assert_eq!(source["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn given_a_running_daemon_then_it_has_every_metric_of_the_dashboard() {
    let (port, bridge) = (free_port(), P1Bridge::start());
    let _daemon = bridge.daemon_with_page(port);
    let metrics = || {
        let mut answer = ureq::get(format!("http://127.0.0.1:{port}/metrics"))
            .call()
            .unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    wait_for("a reading", || metrics().contains("metertap_meter_value{"));
    let text = metrics();
    let exported: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard = dashboard();
    let mut asked = BTreeSet::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap().to_owned();
            let words = expression.split(|c: char| !c.is_alphanumeric() && c != '_');
            asked.extend(
                words
                    .filter(|word| word.starts_with("metertap_"))
                    .map(str::to_owned),
            );
        }
    }
    assert!(asked.len() > 8, "{asked:?}");
    for metric in &asked {
        assert!(exported.contains(metric.as_str()), "{metric} is not exported");
    }
}

/// Prometheus at work on metertap's metrics; returns it with its port.
fn prometheus(metertap: u16, dir: &Path) -> (Process, u16) {
    let port = free_port();
    let config = dir.join("prometheus.yml");
    let scrape = format!(
        "scrape_configs:\n- job_name: metertap\n  scrape_interval: 1s\n  static_configs:\n  - targets: [\"127.0.0.1:{metertap}\"]\n"
    );
    std::fs::write(&config, scrape).unwrap();
    let child = tool("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Process(child), port)
}

#[needs(promtool)]
#[test]
fn given_prometheus_then_it_answers_the_query_of_each_panel() {
    let (port, bridge, dir) = (free_port(), P1Bridge::start(), tempfile::tempdir().unwrap());
    let _daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n",
        bridge.port
    ));
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let (_prometheus, at) = prometheus(port, dir.path());
    let ask = |expression: &str| -> Option<Value> {
        // As Grafana does with the variable of the meters.
        let expression = expression.replace("$meter", ".*");
        let mut answer = ureq::get(format!("http://127.0.0.1:{at}/api/v1/query"))
            .query("query", &expression)
            .call()
            .ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).ok()
    };
    let dashboard = dashboard();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            // A rate needs two samples. There is no radio, and no error, of which samples could be lost or counted.
            let may_be_empty = expression.contains("source_dropped") || expression.contains("port_errors");
            wait_for(expression, || {
                let answer = ask(expression).unwrap_or_default();
                let result = answer["data"]["result"].as_array();
                let is_there = result.is_some_and(|result| may_be_empty || !result.is_empty());
                answer["status"] == "success" && is_there
            });
        }
    }
}
