//! `metertap demo`: the main job with nothing else installed, seen by a plain subscriber.

use crate::support::*;
use std::collections::BTreeSet;

#[test]
fn given_the_demo_then_a_late_subscriber_gets_every_meter_of_the_street() {
    let port = free_port();
    let mut demo = metertap()
        .args(["demo", "--stay", "--seconds", "0.5", "--port", &port.to_string()])
        .start();
    let due: BTreeSet<String> = street_truth()
        .iter()
        .map(|truth| format!("readings/{}/{}", truth["id"], truth["type"].as_str().unwrap()))
        .collect();
    let late = || {
        let output = tool("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-t", "readings/+/+", "-T", "readings/metertap/status"])
            .args(["-F", "%t", "-C", &due.len().to_string(), "-W", "2"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    wait_for("the street", || late() == due);
    demo.stop();
}

#[test]
fn given_a_port_in_use_then_the_demo_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["demo", "--port", &port]);
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains(&format!("port {port} (use --port)"))
    );
}
