//! Live radio through the real code path: the real program, and the project's own librtlsdr under it.
#![cfg(feature = "rtlsdr")]

mod common;

use common::dongle::Dongles;
use common::*;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// `metertap listen` on fake dongles; its lines as they come.
struct Listener {
    process: Process,
    lines: Receiver<String>,
}

impl Listener {
    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map(Process)
            .unwrap();
        let out: ChildStdout = process.0.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Listener { process, lines }
    }

    /// Keys of all messages that come within `patience`, or until `due` are all there.
    fn hear(&self, due: &BTreeSet<String>, patience: Duration) -> BTreeSet<String> {
        let deadline = Instant::now() + patience;
        let mut heard = BTreeSet::new();
        while !due.is_subset(&heard) {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    heard.insert(key(&line));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        heard
    }

    /// Time until the next line.
    fn next_line(&self, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        self.lines.recv_timeout(patience).ok().map(|_| begun.elapsed())
    }

    fn drain(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    fn log(mut self) -> String {
        let stopped = Command::new("kill")
            .args(["-TERM", &self.process.0.id().to_string()])
            .status()
            .unwrap();
        assert!(stopped.success());
        let mut log = String::new();
        let err = self.process.0.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut BufReader::new(err), &mut log).unwrap();
        assert!(self.process.0.wait().unwrap().success(), "{log}");
        log
    }
}

fn key(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["Message"].to_string()
}

fn street() -> BTreeSet<String> {
    street_truth()
        .iter()
        .map(|truth| truth["message"].to_string())
        .collect()
}

fn listen(dongles: &Dongles, args: &[&str]) -> Listener {
    let mut command = metertap();
    command.args(["listen", "-v"]).args(args);
    Listener::start(dongles.under(&mut command))
}

#[test]
fn given_a_dongle_then_the_whole_street_is_heard_at_its_own_pace() {
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
    let due = street();
    let heard = listener.hear(&due, Duration::from_secs(15));
    assert!(due.is_subset(&heard), "missing {:?}", due.difference(&heard));
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
    listener.log();
    wait_for("the bias tee off", || dongles.log().contains("bias_tee=0"));
}

#[test]
fn given_ctrl_c_at_a_terminal_then_the_dongle_is_closed_properly() {
    let dongles = Dongles::plugged("1");
    let mut command = metertap();
    command.args(["listen", "-v", "--bias-tee"]);
    // A group of its own, so that the signal reaches both processes and not the test.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut listener = Listener::start(dongles.under(&mut command));
    assert!(listener.next_line(Duration::from_secs(10)).is_some());
    let group = format!("-{}", listener.process.0.id());
    assert!(
        Command::new("kill")
            .args(["-INT", "--", &group])
            .status()
            .unwrap()
            .success()
    );
    assert!(listener.process.0.wait().unwrap().success());
    assert!(dongles.log().contains("bias_tee=0"), "{}", dongles.log());
}

#[test]
fn given_transfers_of_odd_lengths_then_nothing_is_lost() {
    let mut dongles = Dongles::plugged("1");
    dongles.order("mode", "short");
    let listener = listen(&dongles, &[]);
    let due = street();
    let heard = listener.hear(&due, Duration::from_secs(15));
    assert!(due.is_subset(&heard), "missing {:?}", due.difference(&heard));
}

#[test]
fn given_a_dongle_unplugged_then_decoding_resumes_within_3_s_of_its_return_on_another_port() {
    for (lost, away_s) in [("0", 10), ("-1", 3)] {
        let mut dongles = Dongles::plugged("00000042");
        dongles.order("lost", lost);
        let listener = listen(&dongles, &["--source", "rtlsdr:00000042"]);
        assert!(listener.next_line(Duration::from_secs(10)).is_some());
        dongles.order("serials", "");
        std::thread::sleep(Duration::from_secs(away_s));
        listener.drain();
        assert_eq!(
            listener.next_line(Duration::from_millis(500)),
            None,
            "it is unplugged"
        );
        dongles.order("serials", "00000007,00000042");
        let resumed = listener.next_line(Duration::from_secs(10)).expect("it is back");
        assert!(resumed < Duration::from_secs(4), "{resumed:?}");
        let log = listener.log();
        assert_eq!(log.matches("unplugged").count(), 1, "each change once: {log}");
    }
}

#[test]
fn given_a_library_that_hangs_in_read_and_close_then_the_daemon_recovers_by_itself() {
    let mut dongles = Dongles::plugged("00000042");
    let listener = listen(&dongles, &["--source", "rtlsdr"]);
    assert!(listener.next_line(Duration::from_secs(10)).is_some());
    dongles.order("mode", "wedge");
    std::thread::sleep(Duration::from_secs(5));
    listener.drain();
    // The hardware is well again, the hanging library is not: only another process can help.
    dongles.order("mode", "run");
    let resumed = listener.next_line(Duration::from_secs(20)).expect("it recovers");
    assert!(resumed < Duration::from_secs(12), "{resumed:?}");
    assert!(listener.log().contains("no samples for"));
}

#[test]
fn given_samples_that_are_all_equal_or_none_at_all_then_the_source_is_stalled_and_recovers() {
    for mode in ["equal", "stall"] {
        let mut dongles = Dongles::plugged("00000042");
        let listener = listen(&dongles, &[]);
        assert!(listener.next_line(Duration::from_secs(10)).is_some());
        dongles.order("mode", mode);
        std::thread::sleep(Duration::from_secs(4));
        listener.drain();
        dongles.order("mode", "run");
        assert!(listener.next_line(Duration::from_secs(15)).is_some(), "{mode}");
        assert!(listener.log().contains("Stalled"), "{mode}");
    }
}

#[test]
fn given_no_dongle_or_one_that_cannot_be_opened_then_it_is_told_and_tried_again() {
    for (key, value, told) in [
        ("serials", "", "no dongle is plugged in"),
        ("serials", "00000001", "no dongle with serial number 00000042"),
        ("open", "-3", "permission denied"),
        ("open", "-6", "in use by another program"),
    ] {
        let mut dongles = Dongles::plugged("00000042");
        dongles.order(key, value);
        let listener = listen(&dongles, &["--source", "rtlsdr:00000042"]);
        std::thread::sleep(Duration::from_secs(2));
        dongles.order("serials", "00000042");
        dongles.order("open", "0");
        assert!(listener.next_line(Duration::from_secs(10)).is_some(), "{told}");
        let log = listener.log();
        assert_eq!(log.matches(told).count(), 1, "{log}");
    }
}

#[test]
fn given_two_dongles_on_one_street_then_each_packet_is_told_once() {
    let dongles = Dongles::plugged("00000042,00000043");
    let args = [
        "--source",
        "rtlsdr:00000042",
        "--source",
        "rtlsdr:00000043",
        "--seconds",
        "4",
        "--signal",
    ];
    let listener = listen(&dongles, &args);
    // Both play the street once every 0.42 s, and what coincides within half a second is one reading.
    let lines: Vec<String> = listener.lines.iter().collect();
    let together = lines.iter().filter(|line| line.contains("heard_by")).count();
    assert!(2 * together > lines.len(), "{together} of {}", lines.len());
    let heard: BTreeSet<_> = lines.iter().map(|line| key(line)).collect();
    assert!(street().is_subset(&heard));
    let log = dongles.log();
    assert!(
        log.contains("open=00000042") && log.contains("open=00000043"),
        "{log}"
    );
}

#[test]
fn devices_are_listed_with_what_keeps_us_from_them() {
    let mut dongles = Dongles::plugged("00000042,00000007");
    let list = |dongles: &Dongles, args: &[&str]| {
        let mut command = metertap();
        let output = dongles.under(command.arg("devices").args(args)).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (ok, text) = list(&dongles, &[]);
    assert!(
        ok && text.contains("serial 00000007") && text.contains("R820T"),
        "{text}"
    );
    let (_, text) = list(&dongles, &["--json"]);
    assert_eq!(json_lines(text.as_bytes())[0]["serial"], "00000042");
    dongles.order("open", "-6");
    let (ok, text) = list(&dongles, &[]);
    assert!(!ok && text.contains("in use by another program"), "{text}");
    dongles.order("serials", "");
    assert!(list(&dongles, &[]).1.contains("No dongle is plugged in"));
}

#[test]
fn given_no_librtlsdr_then_everything_else_works_and_the_message_says_what_to_install() {
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
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && told.contains("apt install librtlsdr0"),
        "{told}"
    );
    let output = metertap()
        .args(["replay", STREET])
        .env("LD_LIBRARY_PATH", dir.path())
        .output()
        .unwrap();
    assert_eq!(json_lines(&output.stdout).len(), street_truth().len());
}

/// `metertap run` on fake dongles and a real broker.
fn run_daemon(dongles: &Dongles, broker: &Mosquitto, dir: &tempfile::TempDir, radio: &str) -> Process {
    let config = dir.path().join("metertap.toml");
    let text = format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n\n[[radio]]\nname = \"roof\"\n{radio}\n",
        broker.port
    );
    std::fs::write(&config, text).unwrap();
    let mut command = metertap();
    command.args(["run", "--config"]).arg(config);
    dongles
        .under(&mut command)
        .stderr(Stdio::null())
        .spawn()
        .map(Process)
        .unwrap()
}

/// The state that the broker keeps of the receiver.
fn state(broker: &Mosquitto) -> Option<serde_json::Value> {
    let kept = broker.subscribe("readings/metertap/roof/state", 1, &["--retained-only", "-W", "1"]);
    let (_, payload) = kept.messages().pop()?;
    serde_json::from_str(&payload).ok()
}

fn wait_for_state(broker: &Mosquitto, wanted: &str) -> serde_json::Value {
    let mut last = None;
    wait_for(wanted, || {
        last = state(broker);
        last.as_ref().is_some_and(|state| state["state"] == wanted)
    });
    last.unwrap()
}

fn resident_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn given_a_daemon_then_its_receivers_state_is_published_and_its_memory_stays_flat() {
    let broker = Mosquitto::start();
    let dir = tempfile::tempdir().unwrap();
    let mut dongles = Dongles::plugged("00000042");
    let daemon = run_daemon(&dongles, &broker, &dir, "source = \"rtlsdr:00000042\"");
    let up = wait_for_state(&broker, "up");
    assert!(up["device"].as_str().unwrap().contains("00000042"), "{up}");
    std::thread::sleep(Duration::from_secs(3));
    let before = resident_kib(&daemon);
    std::thread::sleep(Duration::from_secs(8));
    let after = resident_kib(&daemon);
    assert!(after < before + 1024, "{before} KiB, then {after} KiB");
    dongles.order("serials", "");
    let down = wait_for_state(&broker, "down");
    assert_eq!(down["dropped"], 0, "nothing was lost at its own pace: {down}");
    dongles.order("serials", "00000042");
    let up = wait_for_state(&broker, "up");
    assert_eq!(up["reason"], serde_json::Value::Null);
}

#[test]
fn given_samples_at_a_wrong_rate_then_the_source_is_stalled() {
    let mut dongles = Dongles::plugged("00000042");
    dongles.order("pace", "0.8");
    let listener = listen(&dongles, &["--seconds", "14"]);
    std::thread::sleep(Duration::from_secs(13));
    let log = listener.log();
    assert!(log.contains("samples a second instead of 2359296"), "{log}");
}
