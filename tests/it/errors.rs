//! Wrong input: one clear line on standard error and a failing exit code.

use crate::support::*;

/// Runs a command that must fail, and returns its one line on standard error.
fn complaint(args: &[&str]) -> String {
    let output = run(args);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{args:?} succeeded");
    let lines: Vec<&str> = printed
        .lines()
        .filter(|line| !line.contains(": assuming "))
        .collect();
    assert_eq!(lines.len(), 1, "{args:?}: {printed}");
    lines[0].to_owned()
}

/// Makes a file; it is deleted with the folder.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

fn samples(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 37 % 251) as u8).collect()
}

#[test]
fn given_a_file_that_is_no_recording_then_the_reason_is_given() {
    let dir = tempfile::tempdir().unwrap();
    assert!(complaint(&["replay", dir.path().to_str().unwrap()]).contains("is a directory"));
    assert!(complaint(&["replay", "no/such/file.cu8"]).contains("no/such/file.cu8: No such file"));
    let (_dir, path) = file("empty.cu8", b"");
    assert!(complaint(&["replay", &path]).ends_with("empty.cu8: is empty"));
    let (_dir, path) = file("readme.cu8", b"Dear reader,\nthis is not a recording.\n");
    assert!(complaint(&["replay", &path]).contains("looks like text"));
}

#[test]
fn given_a_truncated_recording_then_the_incomplete_sample_is_reported() {
    let (_dir, path) = file("odd_2400k.cu8", &samples(50_001));
    assert!(complaint(&["replay", &path]).contains("ends within a sample: 1 of 2 bytes"));
    let (_dir, path) = file("odd_2400k.cf32", &samples(50_003));
    assert!(complaint(&["replay", &path]).contains("ends within a sample: 3 of 8 bytes"));
}

#[test]
fn given_an_impossible_sample_rate_then_the_possible_ones_are_given() {
    let (_dir, path) = file("a.cu8", &samples(50_000));
    for rate in ["0", "100000", "30M"] {
        assert!(
            complaint(&["replay", &path, "--sample-rate", rate]).contains("225 000 to 25 600 000"),
            "{rate}"
        );
    }
    let (_dir, path) = file("a_0k.cu8", &samples(50_000));
    assert!(complaint(&["replay", &path]).contains("sample rate of 0 S/s"));
}

#[test]
fn given_broken_sigmf_metadata_then_file_and_key_are_named() {
    let (dir, data) = file("a.sigmf-data", &samples(50_000));
    assert!(complaint(&["replay", &data]).contains("a.sigmf-meta: not found"));
    let meta = dir.path().join("a.sigmf-meta");
    for (text, reason) in [
        ("{", "not the metadata"),
        (
            r#"{"global":{"core:datatype":"ru8","core:sample_rate":2e6}}"#,
            "unsupported core:datatype `ru8`",
        ),
        (
            r#"{"global":{"core:datatype":"cu8","core:sample_rate":0}}"#,
            "sample rate of 0",
        ),
    ] {
        std::fs::write(&meta, text).unwrap();
        let printed = complaint(&["replay", &data]);
        assert!(printed.contains(reason), "{text}: {printed}");
    }
}

#[test]
fn given_an_invalid_broker_url_then_nothing_is_replayed() {
    assert!(complaint(&["replay", STREET, "--mqtt", "broker"]).contains("mqtt://host:1883"));
    assert!(complaint(&["replay", STREET, "--mqtt", "http://broker"]).contains("use mqtt://"));
}

#[test]
fn given_an_invalid_configuration_then_line_and_key_are_named() {
    let (_dir, path) = file("metertap.toml", b"[mqtt]\nhots = \"x\"\n");
    let output = run(&["run", "--config", &path]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        printed.contains("metertap.toml") && printed.contains("line 2") && printed.contains("hots"),
        "{printed}"
    );
    let (_dir, path) = file("metertap.toml", b"[mqtt]\nhost = \"x\"\nreadings = \"a/#\"\n");
    let printed = complaint(&["run", "--config", &path]);
    assert!(
        printed.contains("mqtt.readings") && printed.contains("no [[radio]]"),
        "{printed}"
    );
    assert!(complaint(&["run", "--config", "no/such.toml"]).contains("no/such.toml: No such file"));
}

#[test]
fn given_many_mistakes_then_check_reports_all_with_their_lines() {
    let text = "trust = \"norml\"\n\n[mqtt]\nhots = \"x\"\nport = \"1883\"\n\n[homeassistat]\n\n\
                [[radio]]\nsource = \"rtlsdr\"\ngian = 20\n\n[[wire]]\nsource = \"tcp://host\"\nprotocol = \"p1\"\n\
                key = 12345\n\n[[radio]]\nsource = \"rtlsdr\"\nhop_seconds = 3\n";
    let (_dir, path) = file("metertap.toml", text.as_bytes());
    let output = run(&["check", "--config", &path]);
    assert_eq!(output.status.code(), Some(78));
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().skip(1).map(str::trim).collect();
    for (line, reason) in lines.iter().zip([
        "line 1    trust: `norml` is no degree of trust",
        "line 4    mqtt: hots: unknown field `hots`: did you mean `host`?",
        "line 5    mqtt: port: invalid type",
        "line 7    homeassistat: unknown section or key: did you mean `homeassistant`?",
        "line 11   [[radio]] 1: gian: unknown field `gian`: did you mean `gain`?",
        "line 14   [[wire]] 1: source: invalid wire `tcp://host`",
        "line 16   [[wire]] 1: key: must be text in quotes",
        "line 19   source: rtlsdr is in the configuration twice: it can be opened once",
        "line 20   [[radio]] 2: hop_seconds is for center_freq",
        "9 wrong; nothing was started.",
    ]) {
        assert!(line.starts_with(reason), "{reason}: {printed}");
    }
    assert!(!printed.contains("12345"), "no secret: {printed}");
    let (_dir, path) = file("metertap.toml", b"[mqtt]\nhost = x\n[[radio]]\nsource =\n");
    let printed = String::from_utf8(run(&["check", "--config", &path]).stdout).unwrap();
    assert!(
        printed.contains("line 2") && printed.contains("line 4"),
        "{printed}"
    );
}

#[test]
fn given_flags_then_init_writes_a_valid_file_and_overwrites_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metertap.toml").to_str().unwrap().to_owned();
    let flags = [
        "init",
        "--out",
        &path,
        "--mqtt",
        "mqtt://pi:se%22cret@broker.lan:1884",
        "--homeassistant",
        "--radio",
        "rtlsdr:00000042",
        "--wire",
        "p1=/dev/ttyUSB0",
        "--wire",
        "mbus=tcp://gateway:10001",
        "--wire",
        "kmp=/dev/ttyUSB1",
    ];
    stdout_of(&flags);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let printed = String::from_utf8(stdout_of(&["check", "--config", &path])).unwrap();
    assert!(
        printed.contains("1 radio, 3 wires, 0 meters: the file is right"),
        "{printed}"
    );
    assert!(complaint(&flags).contains("is there already"));

    let path = dir.path().join("europe.toml").to_str().unwrap().to_owned();
    stdout_of(&["init", "--out", &path, "--radio", "rtlsdr", "--band", "868"]);
    let written = std::fs::read_to_string(&path).unwrap();
    for line in ["\nband = \"868\"\n", "`metertap find --band 868` finds yours"] {
        assert!(written.contains(line), "{line}: {written}");
    }
    let other = dir.path().join("other.toml").to_str().unwrap().to_owned();
    assert!(complaint(&["init", "--out", &other]).contains("nothing would be heard"));
    let output = run(&["init", "--out", &other, "--wire", "modbus=/dev/ttyUSB0"]);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("invalid protocol `modbus`: expected p1")
    );
}

#[test]
fn given_flags_environment_and_file_then_they_take_precedence_in_this_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    std::fs::write(&file, "publish = \"neither\"\n[[radio]]\nsource = \"rtlsdr\"\n").unwrap();
    let check = |variable: Option<&str>, flags: &[&str]| {
        let mut command = metertap();
        command.args(["check", "--config"]).arg(&file).args(flags);
        if let Some(value) = variable {
            command.env("METERTAP_PUBLISH", value);
        }
        let output = command.output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (ok, printed) = check(None, &[]);
    assert!(!ok && printed.contains("neither"), "{printed}");
    assert!(check(Some("all"), &[]).0, "the environment goes before the file");
    let (ok, printed) = check(Some("all"), &["--set", "publish=every"]);
    assert!(
        !ok && printed.contains("every"),
        "a flag goes before the environment: {printed}"
    );
    assert!(
        check(
            Some("never"),
            &["--set", "publish=all", "--set", "mqtt.host=broker.lan"]
        )
        .0
    );
    let (ok, printed) = check(Some("all"), &["--set", "publish"]);
    assert!(!ok && printed.contains("KEY=VALUE"), "{printed}");
}

#[test]
fn given_environment_variables_then_they_override_the_file() {
    let (_dir, path) = file(
        "metertap.toml",
        b"[mqtt]\nhost = \"x\"\nport = 1\n[[wire]]\nsource = \"-\"\nprotocol = \"p1\"\n",
    );
    let broker = Broker::start();
    let doctor = |variables: &[(&str, &str)]| {
        let mut program = metertap();
        program.args(["doctor", "--config", &path]);
        for (name, value) in variables {
            program.env(name, value);
        }
        let output = program.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let port = broker.port.to_string();
    let printed = doctor(&[
        ("METERTAP_MQTT__HOST", "127.0.0.1"),
        ("METERTAP_MQTT__PORT", &port),
    ]);
    assert!(
        printed.contains(&format!("127.0.0.1:{port} accepts the connection")),
        "{printed}"
    );
    let printed = doctor(&[("METERTAP_MQTT__HOTS", "x")]);
    assert!(
        printed.contains("a variable METERTAP_… or --set for mqtt: unknown field `hots`"),
        "{printed}"
    );
}

#[test]
fn given_an_invalid_scenario_then_the_mistake_is_named() {
    let (_dir, path) = file(
        "a.toml",
        b"seconds = 0.1\n[[meter]]\ntype = \"scm\"\nid = 1\nat = 0.0\nconsumption = 16777216\n",
    );
    assert!(
        complaint(&["synth", &path, "--out", "-"]).contains("meter 1: consumption 16777216 does not fit")
    );
    let (_dir, path) = file(
        "a.toml",
        b"seconds = 0.1\n[[meter]]\ntype = \"sml\"\nid = 1\nat = 0.0\n",
    );
    assert!(complaint(&["synth", &path, "--out", "-"]).contains("`sml` is not a message type"));
    let (_dir, path) = file(
        "a.toml",
        b"seconds = 0.1\n[[meter]]\ntype = \"scm\"\nid = 0\nat = 0.0\n",
    );
    assert!(complaint(&["synth", &path, "--out", "-"]).contains("meter id 0"));
}

#[test]
fn given_a_recording_without_meters_then_replay_succeeds_and_reports_none() {
    let (_dir, path) = file("noise_2400k.cu8", &samples(500_000));
    let output = run(&["replay", &path]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no meter heard")
    );
}

#[test]
fn given_a_file_in_the_working_folder_then_check_run_and_doctor_use_it_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let in_folder = |command: &str| {
        let mut program = metertap();
        program.command().current_dir(dir.path());
        let output = program.arg(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for command in ["check", "run"] {
        let printed = in_folder(command);
        assert!(
            printed.contains("expected a configuration in ./metertap.toml or /etc/metertap/metertap.toml: `metertap init` writes one"),
            "{printed}"
        );
    }
    std::fs::write(
        dir.path().join("telegram.txt"),
        std::fs::read(root().join("testdata/p1/dsmr50.txt")).unwrap(),
    )
    .unwrap();
    std::fs::write(
        dir.path().join("metertap.toml"),
        "[[wire]]\nsource = \"telegram.txt\"\nprotocol = \"p1\"\n",
    )
    .unwrap();
    assert!(in_folder("check").contains("metertap.toml: 0 radios, 1 wire, 0 meters: all is well"));
    assert!(in_folder("doctor").contains("ok   config    metertap.toml"));
    let printed = in_folder("run");
    assert!(
        printed.contains("metertap starts configuration=metertap.toml version="),
        "{printed}"
    );
}

#[test]
fn given_yaml_or_a_key_twice_then_the_mistake_is_named_as_what_it_is() {
    let (is_right, report) = checked("# mine\nmqtt:\n  host: broker.lan\n  port: 1883\n");
    assert!(
        !is_right && report.contains("line 2") && report.contains("this is YAML"),
        "{report}"
    );
    assert!(report.contains("1 wrong"), "{report}");
    let (is_right, report) = checked("[mqtt]\nhost = \"a\"\nhost = \"b\"\n");
    assert!(
        !is_right && report.contains("line 3    host is there twice"),
        "{report}"
    );
    let (is_right, report) = checked("[[meter]]\nid = 00123\n");
    assert!(!is_right && report.contains("put it in quotes"), "{report}");
}

#[test]
fn given_what_other_programs_call_a_key_then_ours_is_suggested_and_the_rest_is_checked_in_one_round() {
    let (is_right, report) = checked(
        "[mqtt]\nhostname = \"broker.lan\"\nuser = \"me\"\n\n[[wire]]\nport = \"ttyUSB0\"\nprotocol = \"smll\"\n\n\
         [[wire]]\nsource = \"192.168.1.10:2001\"\nprotocol = \"mbus\"\nbaudrate = 10\n\n\
         [[wire]]\nsource = \"COM3\"\nprotocol = \"dlms\"\nkey = \"0011\"\n\n\
         [[wire]]\nsource = \"/dev/ttyUSB1\"\nprotocol = \"kmp\"\nmodel = \"999\"\nevery = 0.1\nperiod = 5\n",
    );
    assert!(!is_right);
    for line in [
        "line 2    mqtt: hostname: unknown field `hostname`: did you mean `host`?",
        "line 3    mqtt: user: unknown field `user`: did you mean `username`?",
        "line 6    [[wire]] 1: port: unknown field `port`: did you mean `source`?",
        "did you mean `/dev/ttyUSB0`?",
        "unknown value `smll`: did you mean `sml`?",
        "did you mean `tcp://192.168.1.10:2001`?",
        "unknown field `baudrate`: did you mean `baud`?",
        "source: invalid wire `COM3`",
        "key: expected a key of 32 hexadecimal digits, found 4",
        "model = \"999\" is not known",
        "every = 0.1 must be between 1 and 86400 seconds",
        "period is for protocol = \"p1\"",
    ] {
        assert!(report.contains(line), "{line}: {report}");
    }
}

#[test]
fn given_one_port_or_device_in_two_sections_then_the_second_is_named() {
    let (is_right, report) = checked(
        "[web]\nlisten = \"127.0.0.1:8080\"\n\n[[output]]\nkind = \"tcp\"\nlisten = \"0.0.0.0:8080\"\n\n\
         [[wire]]\nsource = \"/dev/ttyUSB7\"\nprotocol = \"p1\"\n\n[[wire]]\nsource = \"/dev/ttyUSB7\"\nprotocol = \"dlms\"\n",
    );
    assert!(!is_right);
    assert!(
        report.contains("line 6    listen: 0.0.0.0:8080 is in the configuration twice"),
        "{report}"
    );
    assert!(
        report.contains("line 13   source: /dev/ttyUSB7 is in the configuration twice"),
        "{report}"
    );
}

#[test]
fn given_a_machine_that_does_not_fit_then_check_warns_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[web]\nlisten = \"{}\"\n\n[mqtt]\nhost = \"broker.lan\"\nspool = \"/no/such/spool.redb\"\n\n\
         [[wire]]\nsource = \"/dev/serial/by-id/usb-none\"\nprotocol = \"p1\"\n",
        taken.local_addr().unwrap()
    );
    let (is_right, report) = checked(&text);
    assert!(is_right, "{report}");
    for line in [
        "web.listen: 127.0.0.1:",
        "a program uses it already",
        "mqtt.spool: the folder /no/such is missing: mkdir -p /no/such",
        "wire0: /dev/serial/by-id/usb-none is not there: is it plugged in?",
    ] {
        assert!(report.contains(line), "{line}: {report}");
    }
}

#[test]
fn given_a_name_with_control_characters_then_it_is_rejected_because_no_topic_may_have_them() {
    assert_each_is_rejected(
        &[
            (
                "[[meter]]\nid = 1\nname = \"a\\u0000b\"",
                "name has a control character",
            ),
            (
                "[[meter]]\nid = 1\nname = \"a\\nb\"",
                "name has a control character",
            ),
        ],
        "[[radio]]\nsource = \"rtlsdr\"\n",
    );
}
