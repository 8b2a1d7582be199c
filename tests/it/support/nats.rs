//! A NATS cluster with MQTT.

use super::broker::Subscriber;
use super::port::free_port;
use super::wait::{Process, tool, wait_long_for};
use std::process::Stdio;
use std::time::Duration;

/// Topic of the messages that show that a subscriber is there.
const PROBE: &str = "metertap-test/probe";

/// Three servers of a JetStream cluster. The first message waits until they have elected a leader.
pub struct Nats {
    servers: Vec<Option<Process>>,
    /// Ended with the cluster.
    subscribers: Vec<Subscriber>,
    /// MQTT ports, one a server.
    pub ports: Vec<u16>,
    _dir: tempfile::TempDir,
}

impl Nats {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let urls: Vec<String> = routes
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let server = |i: usize| {
            let config = dir.path().join(format!("n{i}.conf"));
            let text = format!(
                "server_name: n{i}\nlisten: 127.0.0.1:{}\njetstream {{ store_dir: \"{}/js{i}\", max_mem: 64M, max_file: 256M }}\n\
                 mqtt {{ listen: 127.0.0.1:{}, stream_replicas: 3, consumer_replicas: 3 }}\n\
                 cluster {{ name: meters, listen: 127.0.0.1:{}, routes: [{}] }}\n",
                free_port(),
                dir.path().display(),
                ports[i],
                routes[i],
                urls.join(", ")
            );
            std::fs::write(&config, text).unwrap();
            let child = tool("nats-server")
                .arg("-c")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(dir.path().join(format!("log{i}"))).unwrap())
                .spawn()
                .unwrap();
            Some(Process(child))
        };
        let servers = (0..3).map(server).collect();
        Nats {
            servers,
            subscribers: Vec::new(),
            ports,
            _dir: dir,
        }
    }

    /// Kills server `i`.
    pub fn kill(&mut self, i: usize) {
        self.servers[i].take();
    }

    fn publishes(&self, i: usize, topic: &str) -> bool {
        tool("mosquitto_pub")
            .args([
                "-p",
                &self.ports[i].to_string(),
                "-q",
                "1",
                "-t",
                topic,
                "-m",
                "x",
            ])
            .output()
            .unwrap()
            .status
            .success()
    }

    /// Payloads of `topic` at server `i`, once the subscription is known to be at work.
    pub fn subscribe(&mut self, i: usize, topic: &str) -> impl Iterator<Item = String> + use<> {
        let patience = Duration::from_secs(120);
        wait_long_for("a leader of the cluster", patience, || {
            self.publishes(i, "metertap-test/hello")
        });
        let options = ["-W", "600", "-t", PROBE];
        let mut subscriber = Subscriber::start(self.ports[i], topic, 1_000_000, &options);
        let (to, lines) = std::sync::mpsc::channel();
        let printed = subscriber.lines();
        self.subscribers.push(subscriber);
        std::thread::spawn(move || {
            for line in printed {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        // The server does not log a subscription; a message that arrives proves it.
        wait_long_for("the subscription", patience, || {
            self.publishes(i, PROBE);
            lines.try_recv().is_ok()
        });
        lines.into_iter().filter_map(|line| {
            let (topic, payload) = line.split_once(' ')?;
            (topic != PROBE).then(|| payload.to_owned())
        })
    }
}
