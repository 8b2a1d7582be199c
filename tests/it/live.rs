//! Live radio: the real program with the project's fake librtlsdr.

use crate::support::*;
use std::collections::BTreeSet;

fn listen(dongles: &Dongles, args: &[&str]) -> Listener {
    let mut program = metertap();
    program.args(["listen", "-v"]).args(args);
    dongles.plug_into(program.command());
    Listener::start(&mut program)
}

#[test]
fn given_a_dongle_then_it_is_tuned_and_the_whole_street_is_received() {
    let dongles = Dongles::plugged("00000042");
    let args = [
        "--source",
        "rtlsdr:00000042",
        "--gain",
        "40",
        "--ppm",
        "-3",
        "--bias-tee",
        "--center-freq",
        "912.6M",
    ];
    let listener = listen(&dongles, &args);
    listener.wait_for_street();
    let log = dongles.log();
    for line in [
        "rate=2359296",
        "center=912600000",
        "manual_gain=1",
        "gain=402",
        "ppm=-3",
        "agc=0",
        "bias_tee=1",
        "reset=0",
    ] {
        assert!(log.lines().any(|l| l == line), "{line} not in {log}");
    }
    listener.stop();
    wait_for("the bias tee off", || dongles.log().contains("bias_tee=0"));
}

#[test]
fn given_ctrl_c_then_the_dongle_is_closed_properly() {
    let dongles = Dongles::plugged("1");
    let mut program = metertap();
    program.args(["listen", "-v", "--bias-tee"]);
    // A group of its own, so that the signal reaches both processes and not the test.
    std::os::unix::process::CommandExt::process_group(program.command(), 0);
    dongles.plug_into(program.command());
    let mut listener = Listener::start(&mut program);
    listener.next_line();
    signal(-i64::from(listener.running.id()), "INT");
    listener.running.wait_for_success();
    assert!(dongles.log().contains("bias_tee=0"), "{}", dongles.log());
}

#[test]
fn given_transfers_of_odd_lengths_then_nothing_is_lost() {
    let mut dongles = Dongles::plugged("1");
    dongles.set("mode", "short");
    listen(&dongles, &[]).wait_for_street();
}

#[test]
fn given_an_unplugged_dongle_then_decoding_resumes_when_it_returns_on_another_port() {
    for lost in ["0", "-1"] {
        let mut dongles = Dongles::plugged("00000042");
        dongles.set("lost", lost);
        let listener = listen(&dongles, &["--source", "rtlsdr:00000042"]);
        listener.next_line();
        dongles.set("serials", "");
        listener.running.expect_log("no dongle");
        listener.running.wait_for_log("unplugged");
        dongles.wait_for_searches(3);
        listener.skip_received();
        dongles.set("serials", "00000007,00000042");
        listener.next_line();
        let log = listener.stop();
        assert_eq!(log.matches("unplugged").count(), 1, "each change once: {log}");
    }
}

#[test]
fn given_a_library_that_hangs_then_the_program_recovers_by_itself() {
    let mut dongles = Dongles::plugged("00000042");
    let listener = listen(&dongles, &["--source", "rtlsdr"]);
    listener.next_line();
    dongles.set("mode", "wedge");
    listener.running.wait_for_log("no samples for");
    listener.skip_received();
    // The hardware is well again, the hanging library is not: only another process can help.
    dongles.set("mode", "run");
    listener.next_line();
}

#[test]
fn given_equal_samples_or_none_then_the_source_stalls_and_recovers() {
    for mode in ["equal", "stall"] {
        let mut dongles = Dongles::plugged("00000042");
        let listener = listen(&dongles, &[]);
        listener.next_line();
        dongles.set("mode", mode);
        for reason in ["all samples have been equal", "no samples for"] {
            listener.running.expect_log(reason);
        }
        listener.running.wait_for_log("Stalled");
        listener.skip_received();
        dongles.set("mode", "run");
        listener.next_line();
    }
}

#[test]
fn given_a_dongle_that_cannot_be_opened_then_it_is_logged_once_and_retried() {
    for (key, value, reason) in [
        ("serials", "", "no dongle is plugged in"),
        ("serials", "00000001", "no dongle with serial number 00000042"),
        ("open", "-3", "permission denied"),
        ("open", "-6", "in use by another program"),
    ] {
        let mut dongles = Dongles::plugged("00000042");
        dongles.set(key, value);
        let listener = listen(&dongles, &["--source", "rtlsdr:00000042"]);
        listener.running.wait_for_log(reason);
        dongles.wait_for_searches(3);
        dongles.set("serials", "00000042");
        dongles.set("open", "0");
        listener.next_line();
        let log = listener.stop();
        assert_eq!(log.matches(reason).count(), 1, "{log}");
    }
}

#[test]
fn given_two_dongles_on_one_street_then_each_packet_is_printed_once() {
    let dongles = Dongles::plugged("00000042,00000043");
    let args = [
        "--source",
        "rtlsdr:00000042",
        "--source",
        "rtlsdr:00000043",
        "--signal",
    ];
    let mut listener = listen(&dongles, &args);
    // Both play the street once every 0.42 s, and packets that coincide within half a second are one reading.
    let mut lines: Vec<String> = (0..150).map(|_| listener.next_line()).collect();
    lines.extend(listener.finish());
    let together = lines.iter().filter(|line| line.contains("heard_by")).count();
    assert!(2 * together > lines.len(), "{together} of {}", lines.len());
    let received: BTreeSet<_> = lines.iter().map(|line| message(line)).collect();
    assert!(street().is_subset(&received));
    let log = dongles.log();
    assert!(
        log.contains("open=00000042") && log.contains("open=00000043"),
        "{log}"
    );
}

#[test]
fn devices_are_listed_with_what_prevents_their_use() {
    let mut dongles = Dongles::plugged("00000042,00000007");
    let list = |dongles: &Dongles, args: &[&str]| {
        let mut program = metertap();
        program.arg("devices").args(args);
        dongles.plug_into(program.command());
        let output = program.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (ok, text) = list(&dongles, &[]);
    assert!(
        ok && text.contains("serial 00000007") && text.contains("R820T"),
        "{text}"
    );
    let (_, text) = list(&dongles, &["--json"]);
    assert_eq!(json_lines(text.as_bytes())[0]["serial"], "00000042");
    dongles.set("open", "-6");
    let (ok, text) = list(&dongles, &[]);
    assert!(!ok && text.contains("in use by another program"), "{text}");
    dongles.set("serials", "");
    assert!(list(&dongles, &[]).1.contains("No dongle is plugged in"));
}

#[test]
fn given_no_librtlsdr_then_the_message_says_what_to_install_and_replay_works() {
    let dir = tempfile::tempdir().unwrap();
    // A library that is none goes before the system's.
    for name in ["librtlsdr.so.0", "librtlsdr.so.2", "librtlsdr.so"] {
        std::fs::write(dir.path().join(name), "no library").unwrap();
    }
    let output = metertap()
        .arg("devices")
        .env("LD_LIBRARY_PATH", dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && stderr.contains("apt install librtlsdr0"),
        "{stderr}"
    );
    let output = metertap()
        .args(["replay", STREET])
        .env("LD_LIBRARY_PATH", dir.path())
        .output()
        .unwrap();
    assert_eq!(json_lines(&output.stdout).len(), street_truth().len());
}

/// `metertap run` on fake dongles and a real broker.
fn run_daemon(dongles: &Dongles, broker: &Broker, radio: &str) -> Daemon {
    let config = format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n\n[[radio]]\nname = \"roof\"\n{radio}\n",
        broker.port
    );
    Daemon::start_with(&config, |command| dongles.plug_into(command))
}

/// Retained state of the receiver.
fn state(broker: &Broker) -> Option<serde_json::Value> {
    let (_, payload) = broker.retained("readings/metertap/roof/state").pop()?;
    serde_json::from_str(&payload).ok()
}

fn wait_for_state(broker: &Broker, wanted: &str) -> serde_json::Value {
    let mut last = None;
    wait_for(wanted, || {
        last = state(broker);
        last.as_ref().is_some_and(|state| state["state"] == wanted)
    });
    last.unwrap()
}

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn given_a_daemon_then_its_receiver_state_is_published_and_its_memory_stays_flat() {
    let broker = Broker::start();
    let mut dongles = Dongles::plugged("00000042");
    let mut readings = broker.subscribe("readings/+/+", 1_000_000, &["-W", "600"]);
    let mut readings = readings.lines();
    let daemon = run_daemon(&dongles, &broker, "source = \"rtlsdr:00000042\"");
    let up = wait_for_state(&broker, "up");
    assert!(up["device"].as_str().unwrap().contains("00000042"), "{up}");
    assert_eq!(readings.by_ref().take(150).count(), 150);
    let before = resident_kib(&daemon);
    assert_eq!(readings.by_ref().take(400).count(), 400);
    let after = resident_kib(&daemon);
    assert!(after < before + 1024, "{before} KiB, then {after} KiB");
    dongles.set("serials", "");
    daemon.expect_log("unplugged");
    let down = wait_for_state(&broker, "down");
    // A busy machine may lose samples, but not without saying so.
    let is_complete = !daemon.log().contains("Samples lost");
    assert_eq!(down["dropped"] == 0, is_complete, "{down}: {}", daemon.log());
    dongles.set("serials", "00000042");
    let up = wait_for_state(&broker, "up");
    assert_eq!(up["reason"], serde_json::Value::Null);
}

#[test]
fn given_samples_at_a_wrong_rate_then_the_source_stalls() {
    let mut dongles = Dongles::plugged("00000042");
    dongles.set("pace", "0.8");
    let listener = listen(&dongles, &[]);
    listener
        .running
        .wait_for_log("samples a second instead of 2359296");
}
