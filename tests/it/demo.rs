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

#[test]
fn given_mosquittos_clients_when_they_publish_and_subscribe_then_the_broker_serves_them() {
    let port = free_port();
    let mut demo = metertap()
        .args(["demo", "--stay", "--seconds", "0.1", "--port", &port.to_string()])
        .start();
    wait_for("the broker", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let mosquitto = |name: &str, args: &[&str]| {
        let output = tool(name)
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name} {args:?}: {output:?}");
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
    demo.stop();
}
