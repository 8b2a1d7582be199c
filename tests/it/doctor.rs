//! `metertap doctor`: what it says about wires.

use crate::asking::bus;
use crate::support::*;
use crate::wire::telegram;
use crate::wire_keys::{KEY, encrypted};
use std::net::TcpListener;

#[test]
fn given_wires_then_the_doctor_judges_their_telegrams() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, _) = telegram("belgium");
    let hdlc = "7EA036410883 1374D0E6E7000F00000000000205090600006001 00FF0A0441424331090601000107 00FF06000004A902020F00161B11987E";
    let mut config = String::new();
    for (name, content, protocol) in [
        ("plain", plain, "p1"),
        ("sealed", encrypted(1, KEY), "p1"),
        ("other", hdlc.into(), "p1"),
        ("noise", b"noise of another speed".to_vec(), "dlms"),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        config += &format!(
            "[[wire]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\nsource = \"{}\"\n",
            file.display()
        );
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    config += &format!(
        "[[wire]]\nname = \"silent\"\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
        silent.local_addr().unwrap()
    );
    config += &format!(
        "[[wire]]\nname = \"absent\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n",
        free_port()
    );
    let file = dir.path().join("metertap.toml");
    write_private(&file, &config);
    let output = metertap()
        .args(["doctor", "--wire-seconds", "0.5", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    for line in [
        "ok   wire      plain: ",
        "BAD  wire      sealed: ",
        "no key is configured",
        "set key (and auth_key)",
        "set protocol = \"dlms\"",
        "bytes, nothing understood",
        "no bytes in 0.5 s",
        "nothing listens there",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("All is well"), "{text}");
}

#[test]
fn given_a_bus_with_an_absent_meter_then_the_doctor_judges_each_meter() {
    let pty = Pty::open();
    scripted(&pty, bus(vec![(5, "12345678")]));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    let wire = format!(
        "[[wire]]\nprotocol = \"mbus\"\naddresses = [\"p5\", \"p9\"]\nsource = \"{}\"\n",
        pty.port.display()
    );
    std::fs::write(&file, wire).unwrap();
    let output = run(&["doctor", "--config", file.to_str().unwrap()]);
    assert!(!output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "meter 12345678, 5 values",
        "p9 does not answer",
        "is the level converter powered",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn given_a_report_for_an_issue_then_it_says_what_is_wrong_and_nothing_private() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, _) = telegram("belgium");
    let recording = dir.path().join("hall.txt");
    std::fs::write(&recording, plain).unwrap();
    let port = free_port();
    let config = format!(
        "[mqtt]\nhost = \"localhost:{port}\"\nusername = \"anneliese\"\npassword = \"correct horse\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"{}\"\nkey = \"{KEY}\"\n\
         [[meter]]\nid = 12345678\nname = \"Flat of Mr. Smith\"\n",
        recording.display()
    );
    let file = dir.path().join("metertap.toml");
    write_private(&file, &config);
    let report = |text: &str| {
        write_private(&file, text);
        let output = metertap()
            .args(["doctor", "--report", "--wire-seconds", "0.5", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = report(&config);
    for needed in [
        concat!("metertap  ", env!("CARGO_PKG_VERSION")),
        "system    ",
        "name = \"hall\"",
        "protocol = \"p1\"",
        "wire      hall",
        "BAD  broker",
        "nothing listens there",
    ] {
        assert!(text.contains(needed), "{needed}: {text}");
    }
    for private in [
        "localhost",
        "anneliese",
        "correct horse",
        KEY,
        "12345678",
        "Smith",
        "MTPBE0001",
    ] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    // A file that is not TOML cannot be redacted.
    let text = report("password = correct horse");
    assert!(text.contains("not TOML") && !text.contains("horse"), "{text}");
}
