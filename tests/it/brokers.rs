//! Kinds of brokers: with TLS, MQTT 5, WebSockets, access control.

use crate::support::*;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Runs `openssl` in a folder; it must succeed.
fn openssl(dir: &Path, args: &str) {
    let output = tool("openssl")
        .args(args.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes an authority, and certificates for a server on 127.0.0.1 and for a client.
fn certificates(dir: &Path) {
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    std::fs::write(dir.join("v3"), "basicConstraints=CA:FALSE\n").unwrap();
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=test-ca",
    );
    for (name, more) in [("server", " -extfile san"), ("client", " -extfile v3")] {
        openssl(
            dir,
            &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out {name}.pem{more}"
            ),
        );
    }
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 30 -subj /CN=other-ca",
    );
}

#[test]
fn given_tls_then_broker_and_client_authenticate_each_other() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let shown = dir.path().display();
    let port = free_port();
    let plain = free_port();
    let broker = Broker::start_with(
        plain,
        &format!(
            "allow_anonymous true\nuser root\nlistener {port} 127.0.0.1\ncafile {shown}/ca.pem\ncertfile {shown}/server.pem\nkeyfile {shown}/server.key\nrequire_certificate true"
        ),
    );
    let client =
        format!("client_cert_file = \"{shown}/client.pem\"\nclient_key_file = \"{shown}/client.key\"");
    for version in ["\"3.1.1\"", "5"] {
        let mut meter = CountingMeter::new();
        let daemon = Daemon::start(&meter.config(&format!(
            "host = \"mqtts://127.0.0.1:{port}\"\nversion = {version}\nca_file = \"{shown}/ca.pem\"\n{client}"
        )));
        let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
        meter.send(3);
        assert_eq!(counters(subscriber), [1, 2, 3], "{}", daemon.log());
    }
    // A broker of another authority, and a client without a certificate.
    for (keys, reason) in [
        (
            format!("ca_file = \"{shown}/other.pem\"\n{client}"),
            "UnknownIssuer",
        ),
        (
            format!("ca_file = \"{shown}/ca.pem\""),
            "No connection to the broker",
        ),
    ] {
        let meter = CountingMeter::new();
        let daemon = Daemon::start(&meter.config(&format!("host = \"mqtts://127.0.0.1:{port}\"\n{keys}")));
        daemon.wait_for_log(reason);
        assert!(
            !daemon.log().contains("Connected to the broker"),
            "{}",
            daemon.log()
        );
    }
    // Verification is off only when asked for.
    let mut meter = CountingMeter::new();
    let daemon = Daemon::start(&meter.config(&format!(
        "host = \"mqtts://127.0.0.1:{port}\"\ninsecure = true\n{client}"
    )));
    let subscriber = broker.subscribe("readings/M1/p1", 1, &[]);
    meter.send(1);
    assert_eq!(counters(subscriber), [1], "{}", daemon.log());
}

#[test]
fn given_invalid_mqtt_settings_then_each_is_rejected_with_the_reason() {
    assert_each_is_rejected(
        &[
            (
                "[mqtt]\nhost = \"mqtts://x\"\nca_file = \"/no/such.pem\"",
                "mqtt.ca_file: /no/such.pem",
            ),
            (
                "[mqtt]\nhost = \"x\"\ninsecure = true",
                "mqtt.insecure is for TLS",
            ),
            (
                "[mqtt]\nhost = \"mqtts://x\"\nclient_cert_file = \"a.pem\"",
                "go together",
            ),
            (
                "[mqtt]\nhost = \"x\"\nusername = \"u\"\npassword_file = \"/no/such\"",
                "mqtt.password_file: /no/such",
            ),
            (
                "[mqtt]\nhost = \"x\"\ntopic = \"home/{type}\"",
                "put {id} into it",
            ),
            ("[mqtt]\nhost = []", "names no host"),
            ("[mqtt]\nhost = \"http://x\"", "use mqtt://"),
            ("[mqtt]\nhost = \"x\"\nversion = 4", "no version of MQTT"),
        ],
        "[[radio]]\nsource = \"rtlsdr\"\n",
    );
}

#[test]
fn given_mqtt_5_and_a_topic_template_then_readings_and_last_will_arrive() {
    let broker = Broker::start();
    let mut meter = CountingMeter::new();
    let config = meter.config(&format!(
        "host = \"127.0.0.1:{}\"\nversion = 5\ntopic = \"house/{{commodity}}/{{name}}/{{type}}\"",
        broker.port
    ));
    let mut daemon = Daemon::start(&(config + "[[meter]]\nid = \"M1\"\nname = \"Main meter\"\n"));
    let mut subscriber = broker.subscribe("house/electricity/Main meter/p1", 200, &["-F", "%t|%p"]);
    let will = broker.subscribe("readings/metertap/status", 2, &[]);
    meter.send(200);
    let counters: Vec<u32> = subscriber
        .lines()
        .map(|line| number(line.split_once('|').unwrap().1))
        .collect();
    assert_eq!(counters, (1..=200).collect::<Vec<_>>(), "{}", daemon.log());
    daemon.kill();
    assert_eq!(will.payloads(), ["online", "offline"]);
}

#[test]
fn given_a_huge_retained_message_then_the_connection_stays() {
    let broker = Broker::start();
    let dir = tempfile::tempdir().unwrap();
    let huge = dir.path().join("huge");
    std::fs::write(&huge, vec![b'x'; 300_000]).unwrap();
    let port = broker.port.to_string();
    let status = tool("mosquitto_pub")
        .args(["-p", &port, "-q", "1", "-r"])
        .args(["-t", "homeassistant/device/huge/config", "-f"])
        .arg(&huge)
        .status();
    assert!(status.unwrap().success());
    for version in ["\"3.1.1\"", "5"] {
        let mut meter = CountingMeter::new();
        let mqtt = format!("host = \"127.0.0.1:{port}\"\nversion = {version}");
        let daemon = Daemon::start(&(meter.config(&mqtt) + "[homeassistant]\n"));
        let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
        daemon.wait_for_log("Connected to the broker");
        meter.send(3);
        assert_eq!(counters(subscriber), [1, 2, 3], "{}", daemon.log());
        assert!(!daemon.log().contains("No connection"), "{}", daemon.log());
    }
}

#[test]
fn given_an_acl_that_forbids_a_topic_then_it_is_logged_and_other_topics_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    std::fs::write(
        &acl,
        "topic readwrite readings/metertap/#\ntopic read readings/#\n",
    )
    .unwrap();
    let broker = Broker::start_with(
        free_port(),
        &format!("allow_anonymous true\nuser root\nacl_file {}", acl.display()),
    );
    let mut meter = CountingMeter::new();
    let daemon = Daemon::start(&meter.config(&format!("host = \"127.0.0.1:{}\"\nversion = 5", broker.port)));
    let births = broker.subscribe("readings/metertap/meters/+/availability", 1, &[]);
    meter.send(2);
    daemon.expect_log("Output too slow or unreachable");
    daemon.expect_log("NotAuthorized");
    daemon.wait_for_log("The broker will not take a message");
    assert_eq!(births.payloads()[0], "online");
    assert!(daemon.log().contains("NotAuthorized"), "{}", daemon.log());
}

#[test]
fn given_an_acl_that_forbids_discovery_then_every_reading_arrives_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    std::fs::write(&acl, "topic readwrite readings/#\n").unwrap();
    let config = format!("allow_anonymous true\nuser root\nacl_file {}", acl.display());
    for version in ["\"3.1.1\"", "5"] {
        let broker = Broker::start_with(free_port(), &config);
        let mut meter = CountingMeter::new();
        let mqtt = format!("host = \"127.0.0.1:{}\"\nversion = {version}", broker.port);
        let daemon = Daemon::start(&(meter.config(&mqtt) + "[homeassistant]\n"));
        let subscriber = broker.subscribe("readings/M1/p1", 1000, &[]);
        // This broker hangs up at what it forbids, also with MQTT 5.
        daemon.expect_log("No connection to the broker");
        daemon.expect_log("The broker will not take a message");
        daemon.expect_log("Further messages that the broker will not take");
        daemon.expect_log("no bytes for");
        meter.send(50);
        let numbers = counters_through(subscriber, 50);
        assert_eq!(numbers, (1..=50).collect::<Vec<_>>(), "{}", daemon.log());
    }
}

#[test]
fn given_a_reading_that_is_too_large_for_the_broker_then_all_others_arrive_and_it_is_named() {
    // Mosquitto hangs up at it, or announces its limit by MQTT 5. In one case it acknowledges the message and drops it.
    for (limit, version, is_refused) in [
        ("message_size_limit 600", "\"3.1.1\"", false),
        ("message_size_limit 600", "5", true),
        ("max_packet_size 600", "\"3.1.1\"", true),
        ("max_packet_size 600", "5", true),
    ] {
        let broker = Broker::start_with(free_port(), &format!("allow_anonymous true\n{limit}"));
        let dir = tempfile::tempdir().unwrap();
        let mut meter = CountingMeter::new();
        let daemon = Daemon::start(&meter.config(&format!(
            "host = \"127.0.0.1:{}\"\nversion = {version}\nspool = \"{}\"",
            broker.port,
            dir.path().join("spool.redb").display()
        )));
        daemon.expect_log("No connection to the broker");
        daemon.expect_log("no bytes for");
        let subscriber = broker.subscribe("readings/M1/p1", 1000, &[]);
        meter.send(3);
        meter.send_large();
        meter.send(6);
        let numbers = counters_through(subscriber, 10);
        let others = [1, 2, 3, 5, 6, 7, 8, 9, 10];
        assert_eq!(numbers, others, "{limit} {version} {}", daemon.log());
        if is_refused {
            daemon
                .wait_for_log("The broker will not take a message; it is set aside topic=\"readings/M1/p1\"");
        }
    }
}

#[test]
fn given_a_last_will_that_comes_late_then_the_status_is_corrected() {
    let broker = Broker::start();
    let meter = CountingMeter::new();
    let daemon = Daemon::start(&meter.config(&format!("host = \"127.0.0.1:{}\"", broker.port)));
    let status = broker.subscribe("readings/metertap/status", 3, &[]);
    daemon.wait_for_log("Connected to the broker");
    wait_for("the status", || {
        broker.retained("readings/metertap/status") == [("readings/metertap/status".into(), "online".into())]
    });
    // What a broker does when it gives up a connection that broke long ago.
    broker.publish("readings/metertap/status", "offline", &["-r"]);
    assert_eq!(
        status.payloads(),
        ["online", "offline", "online"],
        "{}",
        daemon.log()
    );
    daemon.wait_for_log("Status corrected after a late last will");
}

#[test]
fn given_two_clients_with_one_id_then_the_log_names_the_cause_once() {
    for version in ["\"3.1.1\"", "5"] {
        let broker = Broker::start();
        let mqtt = format!(
            "host = \"127.0.0.1:{}\"\nclient_id = \"twin\"\nversion = {version}",
            broker.port
        );
        let daemons = [(), ()].map(|()| {
            let daemon = Daemon::start(&CountingMeter::new().config(&mqtt));
            for warning in ["No connection to the broker", "Source", "probably another client"] {
                daemon.expect_log(warning);
            }
            daemon
        });
        daemons[0].wait_for_log("probably another client uses the same client id");
        let connections = broker.accepted("twin");
        wait_for("further connections", || {
            broker.accepted("twin") > connections + 2
        });
        let log = daemons[0].log();
        assert_eq!(log.matches("probably another client").count(), 1, "{log}");
    }
}

/// A WebSocket proxy in front of a broker, as web servers have; not every Debian mosquitto is built with WebSockets.
#[allow(clippy::result_large_err)] // The callback's type is the library's.
fn websocket(to: u16) -> u16 {
    use std::io::Read;
    use tungstenite::Message;
    use tungstenite::handshake::server::{Request, Response};
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = door.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in door.incoming() {
            let stream = stream.unwrap();
            let mut socket = tungstenite::accept_hdr(stream, |request: &Request, mut response: Response| {
                assert_eq!(request.uri().path(), "/mqtt");
                assert_eq!(request.headers()["sec-websocket-protocol"], "mqtt");
                response
                    .headers_mut()
                    .insert("sec-websocket-protocol", "mqtt".parse().unwrap());
                Ok(response)
            })
            .unwrap();
            let mut broker = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let soon = Some(Duration::from_millis(10));
            socket.get_ref().set_read_timeout(soon).unwrap();
            broker.set_read_timeout(soon).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                loop {
                    match socket.read() {
                        Ok(message) => broker.write_all(&message.into_data()).unwrap(),
                        Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(_) => return,
                    }
                    match broker.read(&mut buffer) {
                        Ok(0) => return,
                        Ok(n) => socket.send(Message::binary(buffer[..n].to_vec())).unwrap(),
                        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(_) => return,
                    }
                }
            });
        }
    });
    port
}

#[test]
fn given_mqtt_over_a_websocket_then_readings_arrive() {
    let broker = Broker::start();
    let port = websocket(broker.port);
    for version in ["\"3.1.1\"", "5"] {
        let mut meter = CountingMeter::new();
        let daemon = Daemon::start(&meter.config(&format!(
            "host = \"ws://127.0.0.1:{port}/mqtt\"\nversion = {version}"
        )));
        let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
        meter.send(3);
        assert_eq!(counters(subscriber), [1, 2, 3], "{}", daemon.log());
    }
}
