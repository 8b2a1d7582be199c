//! `metertap demo`: the main job with nothing else installed, seen by a plain subscriber.
#![cfg(feature = "demo")]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

#[test]
fn a_plain_subscriber_sees_every_meter_of_the_street_also_when_it_comes_late() {
    let port = free_port();
    let mut demo = metertap()
        .args(["demo", "--stay", "--seconds", "0.5", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Process)
        .unwrap();
    let due: BTreeSet<String> = street_truth()
        .iter()
        .map(|truth| format!("readings/{}/{}", truth["id"], truth["type"].as_str().unwrap()))
        .collect();
    let late = || {
        let output = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-t",
                "readings/+/+",
                "-T",
                "readings/metertap/status",
            ])
            .args(["-F", "%t", "-C", &due.len().to_string(), "-W", "2"])
            .output()
            .expect("mosquitto_sub (make test installs it)");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    wait_for("the street", || late() == due);
    let sent = Command::new("kill")
        .args(["-TERM", &demo.0.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success() && demo.0.wait().unwrap().success());
}

#[test]
fn a_taken_port_is_told() {
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

#[test]
fn given_mosquittos_clients_when_they_publish_and_subscribe_then_the_broker_serves_them() {
    let port = free_port();
    let mut demo = metertap()
        .args(["demo", "--stay", "--seconds", "0.1", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Process)
        .unwrap();
    wait_for("the broker", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let mosquitto = |tool: &str, args: &[&str]| {
        let output = Command::new(tool)
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(args)
            .output()
            .unwrap_or_else(|error| panic!("{tool} (make test installs it): {error}"));
        assert!(output.status.success(), "{tool} {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let publish = |args: &[&str]| mosquitto("mosquitto_pub", args);
    let subscribe = |args: &[&str]| {
        mosquitto(
            "mosquitto_sub",
            &[&["-W", "20", "-F", "%t %p q%q r%r"], args].concat(),
        )
    };
    publish(&["-r", "-q", "1", "-t", "home/gas", "-m", "12.5"]);
    publish(&["-r", "-t", "home/water", "-m", "7"]);
    publish(&["-q", "1", "-t", "home/passing", "-m", "not retained"]);
    assert_eq!(
        subscribe(&["-q", "1", "-t", "home/+", "-C", "2"]),
        "home/gas 12.5 q1 r1\nhome/water 7 q0 r1\n"
    );
    // An empty retained message deletes.
    publish(&["-r", "-q", "1", "-t", "home/gas", "-n"]);
    assert_eq!(subscribe(&["-t", "home/#", "-C", "1"]), "home/water 7 q0 r1\n");
    // The broker goes on after a client that talks something else.
    std::io::Write::write_all(
        &mut std::net::TcpStream::connect(("127.0.0.1", port)).unwrap(),
        b"GET / HTTP/1.1\r\n\r\n",
    )
    .unwrap();
    assert_eq!(subscribe(&["-t", "home/#", "-C", "1"]), "home/water 7 q0 r1\n");
    let sent = Command::new("kill")
        .args(["-TERM", &demo.0.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success() && demo.0.wait().unwrap().success());
}
