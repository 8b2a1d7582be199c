//! Nothing is lost, and what comes twice says so: connections that break, a broker that is full, a server of a cluster
//! that is killed, a network that drops every packet.

mod common;

use common::counting::*;
use common::wire::Daemon;
use common::*;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn given_a_connection_that_breaks_before_the_puback_then_what_is_sent_again_says_so() {
    let (dir, port, between) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let broker = Mosquitto::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 6, &[]);
    // The first connection carries everything to the broker, and back nothing but the CONNACK; then it breaks.
    let proxy = TcpListener::bind(("127.0.0.1", between)).unwrap();
    std::thread::spawn(move || {
        pass_on_one_way(proxy.accept().unwrap().0, port, Duration::from_millis(1500));
        proxy.incoming().for_each(|from| pass_on(from.unwrap(), port));
    });
    let mut meter = Meter::new();
    let spool = dir.path().join("spool.redb");
    let daemon = Daemon::start(&meter.config(&format!(
        "host = \"127.0.0.1:{between}\"\nspool = \"{}\"",
        spool.display()
    )));
    daemon.wait_for_log("Connected to the broker");
    meter.says(3);
    let messages = subscriber.messages();
    let told: Vec<(u32, bool)> = messages
        .iter()
        .map(|(_, payload)| (number(payload), payload.contains("\"resent\":true")))
        .collect();
    let (first, again) = told.split_at(3);
    assert_eq!(first, [(1, false), (2, false), (3, false)], "{}", daemon.log());
    assert_eq!(again, [(1, true), (2, true), (3, true)]);
}

#[test]
fn given_a_broker_that_is_full_then_what_it_does_not_take_comes_when_it_has_room() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    // It has room for some thousand messages of a subscriber that is away.
    let broker = Mosquitto::start_with(
        port,
        "allow_anonymous true\nuser root\nmax_queued_messages 0\nmemory_limit 1500000",
    );
    let durable = ["-i", "durable", "-c", "-W", "20"];
    drop(broker.subscribe("readings/M1/p1", 1, &durable));
    let mut meter = Meter::new();
    let spool = dir.path().join("spool.redb");
    let daemon = Daemon::start(&meter.config(&format!(
        "host = \"127.0.0.1:{port}\"\nspool = \"{}\"",
        spool.display()
    )));
    // Until it has said that it is full, which it does not always do at once.
    let is_refused = || daemon.log().contains("No connection to the broker");
    while meter.sent < 6000 || (meter.sent < 60_000 && !is_refused()) {
        meter.says(100);
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon.wait_for_log("No connection to the broker");
    // Somebody takes what it holds, and there is room again. What the broker itself loses of what it has acknowledged
    // (mosquitto 2.0.11 does, now and then, when its memory is full) is not ours to mend.
    // Nor can it be waited for that it says who has subscribed: it is full.
    let subscriber = Subscriber::of(port, "readings/M1/p1", 100_000, &durable);
    std::thread::spawn(move || subscriber.messages());
    let sent = meter.sent as usize;
    wait_for("all to be taken", || broker.acknowledged("metertap") >= sent);
    signal(&daemon.process, "TERM");
    daemon.wait_for_log("undelivered=0 kept=0");
    assert!(
        daemon.log().matches("Connected to the broker").count() > 1,
        "{}",
        daemon.log()
    );
}

/// Three servers of a JetStream cluster; the first message waits until they have chosen a leader.
struct Nats {
    servers: Vec<Option<Process>>,
    ports: Vec<u16>,
    _dir: tempfile::TempDir,
}

impl Nats {
    fn start() -> Self {
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
            let child = Command::new("nats-server")
                .arg("-c")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(dir.path().join(format!("log{i}"))).unwrap())
                .spawn()
                .expect("nats-server (make test installs it)");
            Some(Process(child))
        };
        let servers = (0..3).map(server).collect();
        Nats {
            servers,
            ports,
            _dir: dir,
        }
    }

    /// A subscriber at server `i`, once the cluster takes it.
    fn subscribe(&self, i: usize, count: usize) -> Subscriber {
        let port = self.ports[i].to_string();
        wait_long_for("the cluster", Duration::from_secs(60), || {
            let output = Command::new("mosquitto_pub")
                .args(["-p", &port, "-t", "hello", "-m", "x", "-q", "1"])
                .output()
                .unwrap();
            output.status.success()
        });
        let subscriber = Subscriber::of(self.ports[i], "readings/M1/p1", count, &["-W", "150"]);
        // It says nowhere that it has subscribed.
        std::thread::sleep(Duration::from_millis(500));
        subscriber
    }
}

#[test]
fn given_a_cluster_of_nats_then_a_server_that_is_killed_costs_no_reading() {
    let mut nats = Nats::start();
    let subscriber = nats.subscribe(2, 10_000);
    let dir = tempfile::tempdir().unwrap();
    let mut meter = Meter::new();
    let daemon = Daemon::start(&meter.config(&format!(
        "host = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\nspool = \"{}\"",
        nats.ports[0],
        nats.ports[1],
        dir.path().join("spool.redb").display()
    )));
    daemon.wait_for_log("Connected to the broker");
    meter.says(100);
    std::thread::sleep(Duration::from_millis(500));
    // In the middle of it.
    meter.says(20);
    nats.servers[0].take();
    meter.says(80);
    // Those that are left must choose a leader first.
    wait_long_for("the other server", Duration::from_secs(90), || {
        // A meter does not stop speaking.
        meter.says(1);
        std::thread::sleep(Duration::from_millis(100));
        daemon.log().matches("Connected to the broker").count() == 2
    });
    meter.says(50);
    let last = meter.sent;
    let mut highest = 0;
    let mut again = 0;
    let mut told = Vec::new();
    for (_, payload) in subscriber.messages_until(|messages| {
        messages
            .last()
            .is_some_and(|(_, payload)| number(payload) == last)
    }) {
        let is_new = number(&payload) > highest;
        if is_new {
            told.push(number(&payload));
            highest = number(&payload);
        } else {
            assert!(
                payload.contains("\"resent\":true"),
                "a duplicate that does not say so: {payload}"
            );
            again += 1;
        }
    }
    println!("sent again: {again}");
    assert_eq!(told, (1..=last).collect::<Vec<_>>(), "{}", daemon.log());
}

/// Runs a test of this file alone in a network of its own, where packets may be dropped.
fn in_own_network(test: &str) -> bool {
    let may = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link set lo up && iptables -L -n"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this machine gives no network of one's own (unshare -rn, iptables)");
        return false;
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(this)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    true
}

#[test]
fn given_a_network_that_drops_every_packet_then_nothing_is_lost() {
    in_own_network("given_dropped_packets");
}

#[test]
#[ignore = "in a network of its own: run by the test above"]
fn given_dropped_packets() {
    let iptables = |args: &str| {
        let status = Command::new("iptables").args(args.split(' ')).status().unwrap();
        assert!(status.success(), "{args}");
    };
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let broker = Mosquitto::start_with(port, "allow_anonymous true\nuser root\nmax_queued_messages 0");
    // The subscriber has a way of its own.
    let subscriber = broker.subscribe("readings/M1/p1", 1000, &["-W", "120"]);
    let mut meter = Meter::new();
    let spool = dir.path().join("spool.redb");
    let daemon = Daemon::start(&meter.config(&format!(
        "host = \"127.0.0.2:{port}\"\nspool = \"{}\"",
        spool.display()
    )));
    // Through an address of its own, which alone is cut off.
    let way = TcpListener::bind(("127.0.0.2", port)).unwrap();
    std::thread::spawn(move || way.incoming().for_each(|from| pass_on(from.unwrap(), port)));
    daemon.wait_for_log("Connected to the broker");
    for _ in 0..3 {
        meter.says(40);
        std::thread::sleep(Duration::from_millis(300));
        iptables(&format!("-A INPUT -d 127.0.0.2 -p tcp --dport {port} -j DROP"));
        iptables(&format!("-A INPUT -s 127.0.0.2 -p tcp --sport {port} -j DROP"));
        meter.says(40);
        std::thread::sleep(Duration::from_secs(4));
        iptables("-F INPUT");
        meter.says(20);
    }
    let messages = subscriber
        .messages_until(|messages| messages.last().is_some_and(|(_, payload)| number(payload) == 300));
    let told = without_repeats(messages.iter().map(|(_, payload)| number(payload)).collect());
    assert_eq!(told, (1..=300).collect::<Vec<_>>(), "{}", daemon.log());
}
