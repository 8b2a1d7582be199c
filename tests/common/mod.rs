//! The real binary and real peers.
#![allow(dead_code)] // Every test file uses its part.

pub mod browser;
pub mod counting;
pub mod dongle;
pub mod wire;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub fn metertap() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metertap"));
    command.env_remove("RUST_LOG").current_dir(root());
    command
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub const STREET: &str = "testdata/street/street_912.600155M_2359.296k.cu8";

/// The lines of the street's truth file.
pub fn street_truth() -> Vec<serde_json::Value> {
    json_lines(&std::fs::read(root().join(format!("{STREET}.truth.jsonl"))).unwrap())
}

pub fn json_lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    std::str::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

pub fn run(args: &[&str]) -> Output {
    metertap().args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs it and gives standard output; it must succeed.
pub fn stdout_of(args: &[&str]) -> Vec<u8> {
    let output = run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Whether `metertap check` finds a configuration right, and what it says.
pub fn checked(config: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    std::fs::write(&file, config).unwrap();
    let output = metertap()
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// Each section is wrong, and `metertap check` says so.
pub fn each_is_told(sections: &[(&str, &str)], needs: &str) {
    for (section, says) in sections {
        let (ok, said) = checked(&format!("{section}\n{needs}"));
        assert!(!ok && said.contains(says), "{section}: {said}");
    }
}

/// Sends a signal: `TERM`, `HUP`.
pub fn signal(process: &Process, name: &str) {
    let pid = process.0.id().to_string();
    let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(status.unwrap().success());
}

/// What lies outside the project; tests that need it are skipped where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = root().join("../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: {} is not there", full.display());
    None
}

pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    // Below those that the system gives to whoever connects: one of them may be taken before it is listened on,
    // and a connection to one that nobody listens on may end at itself.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 200 * 50;
    loop {
        let port = 20_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A process that ends with the test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real broker on a free port.
pub struct Mosquitto {
    pub port: u16,
    pub process: Process,
    dir: tempfile::TempDir,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::start_with(free_port(), "allow_anonymous true")
    }

    pub fn start_with(port: u16, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(
            &file,
            format!("listener {port} 127.0.0.1\nlog_type all\n{config}\n"),
        )
        .unwrap();
        let program = ["/usr/sbin/mosquitto", "mosquitto"]
            .into_iter()
            .find(|p| Path::new(p).exists());
        let child = Command::new(program.unwrap_or("mosquitto"))
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .expect("mosquitto (make test installs it)");
        let process = Process(child);
        let broker = Mosquitto { port, process, dir };
        wait_for("mosquitto", || broker.log().contains(" running"));
        broker
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How many publications of clients whose names begin so it has acknowledged, by its own log.
    pub fn acknowledged(&self, client: &str) -> usize {
        self.log().matches(&format!("Sending PUBACK to {client}")).count()
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// A subscriber to `topic` that ends after `count` messages or 20 s; lines are `topic payload`.
    pub fn subscribe(&self, topic: &str, count: usize, more: &[&str]) -> Subscriber {
        let suback = "Sending SUBACK to ";
        let subscribed = || {
            let log = self.log();
            log.split(suback)
                .skip(1)
                .filter(|id| !id.starts_with("metertap"))
                .count()
        };
        let before = subscribed();
        let subscriber = Subscriber::of(self.port, topic, count, more);
        // Before anything is published, even where the machine is slow.
        wait_for("the subscription", || subscribed() > before);
        subscriber
    }
}

pub struct Subscriber(Process);

impl Subscriber {
    /// At any broker on this machine.
    pub fn of(port: u16, topic: &str, count: usize, more: &[&str]) -> Self {
        let child = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-q",
                "1",
                "-v",
                "-t",
                topic,
            ])
            .args(["-C", &count.to_string(), "-W", "20"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub (make test installs it)");
        Subscriber(Process(child))
    }

    /// What it prints.
    pub fn into_output(mut self) -> impl Read {
        let output = self.0.0.stdout.take().unwrap();
        // It ends by itself.
        std::mem::forget(self);
        output
    }

    /// `(topic, payload)` of what comes until `enough`.
    pub fn messages_until(mut self, enough: impl Fn(&[(String, String)]) -> bool) -> Vec<(String, String)> {
        use std::io::BufRead;
        let output = std::io::BufReader::new(self.0.0.stdout.take().unwrap());
        let mut messages = Vec::new();
        for line in output.lines() {
            let line = line.unwrap();
            messages.extend(
                line.split_once(' ')
                    .map(|(topic, payload)| (topic.into(), payload.into())),
            );
            if enough(&messages) {
                break;
            }
        }
        messages
    }

    /// `(topic, payload)` of all that came.
    pub fn messages(mut self) -> Vec<(String, String)> {
        let mut text = String::new();
        self.0.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(topic, payload)| (topic.into(), payload.into()))
            .collect()
    }
}

pub fn wait_for(what: &str, ready: impl FnMut() -> bool) {
    wait_long_for(what, Duration::from_secs(20), ready);
}

/// For what others take their time to do.
pub fn wait_long_for(what: &str, patience: Duration, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < patience, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
