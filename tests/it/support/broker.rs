//! A real MQTT broker, mosquitto, and its command-line clients.

use super::port::free_port;
use super::wait::{Process, signal, tool, wait_for};
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Stdio};

/// Retained at the broker by [`Broker::retained`]; begins with `$`, so that `#` does not match it.
const MARKER: &str = "$metertap-test/marker";
/// Seconds after which a subscriber gives up.
const DEADLINE_S: &str = "60";

/// A mosquitto that ends with the test.
pub struct Broker {
    pub port: u16,
    process: Process,
    dir: tempfile::TempDir,
}

impl Broker {
    pub fn start() -> Self {
        Self::start_with(free_port(), "allow_anonymous true")
    }

    /// Starts it on a port of [`free_port`] with more lines of configuration.
    pub fn start_with(port: u16, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(
            &file,
            format!("listener {port} 127.0.0.1\nlog_type all\n{config}\n"),
        )
        .unwrap();
        let child = tool("mosquitto")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut broker = Broker {
            port,
            process: Process(child),
            dir,
        };
        wait_for("mosquitto", || {
            if let Some(status) = broker.process.0.try_wait().unwrap() {
                panic!("mosquitto has ended, {status}: {}", broker.log());
            }
            broker.log().contains(" running")
        });
        broker
    }

    /// Ends it in an orderly way, so that it saves what it keeps.
    pub fn stop(mut self) {
        signal(self.process.0.id().into(), "TERM");
        self.process.0.wait().unwrap();
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Number of publications that it has acknowledged to clients whose names begin with `client`, by its own log.
    pub fn acknowledged(&self, client: &str) -> usize {
        self.log().matches(&format!("Sending PUBACK to {client}")).count()
    }

    /// Number of connections it has accepted from clients whose names begin with `client`, by its own log.
    pub fn accepted(&self, client: &str) -> usize {
        self.log()
            .matches(&format!("Sending CONNACK to {client}"))
            .count()
    }

    /// Number of connections it has refused because of user name or password, by its own log.
    pub fn refused(&self) -> usize {
        self.log().matches("not authorised").count()
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Publishes one message, which the broker must acknowledge.
    pub fn publish(&self, topic: &str, payload: &str, options: &[&str]) {
        let status = tool("mosquitto_pub")
            .args(["-p", &self.port.to_string(), "-q", "1"])
            .args(["-t", topic, "-m", payload])
            .args(options)
            .status()
            .unwrap();
        assert!(status.success(), "{topic}");
    }

    /// Subscribes to `topic`, until `count` messages have come; returns once the broker has confirmed it.
    pub fn subscribe(&self, topic: &str, count: usize, options: &[&str]) -> Subscriber {
        let confirmed = || {
            let log = self.log();
            log.split("Sending SUBACK to ")
                .skip(1)
                .filter(|client| !client.starts_with("metertap"))
                .count()
        };
        let before = confirmed();
        let subscriber = Subscriber::start(self.port, topic, count, options);
        wait_for("the SUBACK", || confirmed() > before);
        subscriber
    }

    /// All retained messages under `topic` at this moment, `(topic, payload)`.
    ///
    /// The broker sends retained messages in the order of the subscriptions, so that the marker is the last.
    pub fn retained(&self, topic: &str) -> Vec<(String, String)> {
        self.publish(MARKER, "", &["-r"]);
        self.publish(MARKER, "x", &["-r"]);
        let subscriber = Subscriber::start(self.port, topic, 1_000_000, &["--retained-only", "-t", MARKER]);
        let mut messages =
            subscriber.messages_until(|messages| messages.last().is_some_and(|(topic, _)| topic == MARKER));
        assert!(messages.pop().is_some_and(|(topic, _)| topic == MARKER));
        messages
    }
}

/// A mosquitto_sub.
pub struct Subscriber(Process);

impl Subscriber {
    /// Subscribes at any broker on this machine; ends after `count` messages.
    pub fn start(port: u16, topic: &str, count: usize, options: &[&str]) -> Self {
        let child = tool("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-q", "1", "-v", "-t", topic])
            .args(["-C", &count.to_string(), "-W", DEADLINE_S])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Subscriber(Process(child))
    }

    /// The lines that it prints, as they come.
    pub fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        let output: ChildStdout = self.0.0.stdout.take().unwrap();
        BufReader::new(output).lines().map_while(Result::ok)
    }

    /// `(topic, payload)` of what comes until `is_enough`.
    pub fn messages_until(
        mut self,
        is_enough: impl Fn(&[(String, String)]) -> bool,
    ) -> Vec<(String, String)> {
        let mut messages = Vec::new();
        for line in self.lines() {
            // A payload of several lines is not used anywhere.
            messages.extend(
                line.split_once(' ')
                    .map(|(topic, payload)| (topic.into(), payload.into())),
            );
            if is_enough(&messages) {
                break;
            }
        }
        messages
    }

    /// `(topic, payload)` of all that came.
    pub fn messages(self) -> Vec<(String, String)> {
        self.messages_until(|_| false)
    }

    /// Payloads of all that came.
    pub fn payloads(self) -> Vec<String> {
        self.messages().into_iter().map(|(_, payload)| payload).collect()
    }
}
