//! SIGHUP: the configuration is read again, and what has not changed goes on undisturbed.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

fn telegram(id: &str, n: u32) -> Vec<u8> {
    let id: String = id.bytes().map(|byte| format!("{byte:02X}")).collect();
    seal(
        &format!("/MTP5x\n\n0-0:96.1.1({id})\n1-0:1.8.0({n:06}.000*kWh)\n"),
        true,
    )
}

struct Bridge(TcpListener);

impl Bridge {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Bridge(listener)
    }

    fn wire(&self, name: &str) -> String {
        let address = self.0.local_addr().unwrap();
        format!("[[wire]]\nname = \"{name}\"\nprotocol = \"p1\"\nsource = \"tcp://{address}\"\n")
    }

    fn accept(&self) -> TcpStream {
        let mut line = None;
        wait_for("a connection", || {
            line = self.0.accept().ok();
            line.is_some()
        });
        let (line, _) = line.unwrap();
        line.set_nonblocking(false).unwrap();
        line
    }

    /// Asserts that nobody has connected since the last `accept`. Call it after something that would come later than
    /// a new connection.
    fn assert_no_new_connection(&self) {
        assert!(self.0.accept().is_err(), "a second connection");
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    json_lines(&text.as_bytes()[..whole])
}

#[test]
fn given_a_new_configuration_then_only_what_has_changed_is_reopened() {
    let (one, two, three) = (Bridge::new(), Bridge::new(), Bridge::new());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readings.jsonl");
    let output = format!("[[output]]\nkind = \"file\"\npath = \"{}\"\n", file.display());
    let daemon = Daemon::start(&format!("{output}{}{}", one.wire("one"), two.wire("two")));
    let (mut line_one, mut line_two) = (one.accept(), two.accept());
    line_one.write_all(&telegram("A", 1)).unwrap();
    line_two.write_all(&telegram("B", 1)).unwrap();
    wait_for("two readings", || lines(&file).len() == 2);
    // The second wire leaves, a third comes, and the first meter gets a name.
    let named = "[[meter]]\nid = \"A\"\nname = \"House\"\n";
    daemon.reload(
        &format!("{output}{}{}{named}", one.wire("one"), three.wire("three")),
        "Configuration reloaded",
    );
    let mut line_three = three.accept();
    line_one.write_all(&telegram("A", 2)).unwrap();
    line_three.write_all(&telegram("C", 1)).unwrap();
    wait_for("four readings", || lines(&file).len() == 4);
    one.assert_no_new_connection();
    let readings = lines(&file);
    let of = |id: &str| readings.iter().rfind(|line| line["id"] == id).unwrap().clone();
    assert_eq!(
        (&of("A")["name"], &of("C")["port"]),
        (&"House".into(), &"three".into())
    );
    // Nobody listens to the second any more.
    let mut rest = String::new();
    line_two.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(BufReader::new(&line_two).read_line(&mut rest).unwrap(), 0);
    // A port that another program has taken disturbs no other output.
    let other = Broker::start();
    let server = format!(
        "[[output]]\nkind = \"tcp\"\nlisten = \"127.0.0.1:{}\"\n",
        other.port
    );
    let both = format!("{server}{output}{}{}", one.wire("one"), three.wire("three"));
    daemon.reload(&both, "Component failed; restarting");
    line_one.write_all(&telegram("A", 3)).unwrap();
    wait_for("five readings", || lines(&file).len() == 5);
    other.stop();
    daemon.reload(&both, "Configuration reloaded");
    // A mistake changes nothing.
    daemon.reload(
        &format!("{output}{}[[wire]]\nprotocoll = 3\n", one.wire("one")),
        "the previous one stays",
    );
    assert!(
        daemon.log().contains("did you mean `protocol`"),
        "{}",
        daemon.log()
    );
    line_one.write_all(&telegram("A", 4)).unwrap();
    wait_for("six readings", || lines(&file).len() == 6);
    one.assert_no_new_connection();
}

#[test]
fn given_other_meters_or_another_gain_then_only_the_gain_reopens_the_dongle() {
    let dongles = Dongles::plugged("00000042");
    let radio = |gain: &str| format!("[[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\ngain = {gain}\n");
    let first = "[[meter]]\nid = 12345678\n";
    let daemon = Daemon::start_with(&(radio("28.0") + first), |command| dongles.plug_into(command));
    let of = |id: u64| {
        daemon
            .lines()
            .iter()
            .filter(|line| line["id"] == id.to_string().as_str())
            .count()
    };
    wait_for("the first meter", || of(12_345_678) > 0);
    assert_eq!(of(33_445_566), 0);
    daemon.reload(
        &(radio("28.0") + "[[meter]]\nid = 33445566\n"),
        "Configuration reloaded",
    );
    let before = of(12_345_678);
    wait_for("the second meter", || of(33_445_566) > 1);
    assert!(of(12_345_678) <= before + 1, "the first one is no longer ours");
    let opened = || dongles.log().matches("open=").count();
    assert_eq!(opened(), 1, "{}", dongles.log());
    daemon.reload(&(radio("20.7") + first), "Configuration reloaded");
    wait_for("the dongle", || opened() == 2);
    let before = of(12_345_678);
    wait_for("the first meter", || of(12_345_678) > before);
    assert!(dongles.log().contains("gain=207"), "{}", dongles.log());
}

#[test]
fn given_another_broker_then_readings_and_states_go_there() {
    let (old, new) = (Broker::start(), Broker::start());
    let bridge = Bridge::new();
    let mqtt = |broker: &Broker| format!("[mqtt]\nhost = \"127.0.0.1:{}\"\n", broker.port);
    let daemon = Daemon::start(&format!("{}{}", mqtt(&old), bridge.wire("hall")));
    let mut line = bridge.accept();
    let first = old.subscribe("readings/A/p1", 1, &[]);
    line.write_all(&telegram("A", 1)).unwrap();
    assert_eq!(first.payloads().len(), 1, "{}", daemon.log());
    let gone = old.subscribe("readings/metertap/status", 2, &[]);
    let second = new.subscribe("readings/A/p1", 1, &[]);
    daemon.reload(
        &format!("{}{}", mqtt(&new), bridge.wire("hall")),
        "Configuration reloaded",
    );
    line.write_all(&telegram("A", 2)).unwrap();
    assert_eq!(second.payloads().len(), 1, "{}", daemon.log());
    assert_eq!(gone.payloads()[1], "offline", "at the old broker");
    // The new broker gets the states that were published before.
    for (topic, reason) in [
        ("readings/metertap/meters/A/availability", "online"),
        ("readings/metertap/hall/state", "\"up\""),
    ] {
        let payloads = new.subscribe(topic, 1, &[]).payloads();
        assert!(payloads[0].contains(reason), "{topic}: {payloads:?}");
    }
    bridge.assert_no_new_connection();
}

#[test]
fn given_a_serial_port_that_is_opened_anew_then_it_does_not_find_itself_in_use() {
    let pty = Pty::open();
    let wire = |name: &str, baud: u32| {
        format!(
            "[[wire]]\nname = \"{name}\"\nprotocol = \"p1\"\nsource = \"{}\"\nbaud = {baud}\n",
            pty.port.display()
        )
    };
    let daemon = Daemon::start(&wire("hall", 115_200));
    daemon.wait_for_log("Port opened");
    let mut line = pty.meter();
    for (n, name, baud) in [(1, "hall", 9600), (2, "hall", 115_200), (3, "cellar", 115_200)] {
        daemon.reload(&wire(name, baud), "Configuration reloaded");
        daemon.wait_for_logs("Port opened", n as usize + 1);
        line.write_all(&telegram("A", n)).unwrap();
        daemon.wait_for_lines(n as usize);
    }
    assert!(!daemon.log().contains("another program"), "{}", daemon.log());
}

#[test]
fn given_another_rate_while_a_reading_is_held_back_then_none_leaves_behind_a_newer_one() {
    let bridge = Bridge::new();
    let config = |rate: &str| format!("rate = {rate}\n{}", bridge.wire("hall"));
    let daemon = Daemon::start(&config("3600"));
    let mut line = bridge.accept();
    for n in 1..=3 {
        line.write_all(&telegram("A", n)).unwrap();
    }
    daemon.wait_for_lines(1);
    for rate in ["\"every\"", "\"change\"", "3600", "\"every\""] {
        daemon.reload(&config(rate), "Configuration reloaded");
    }
    for n in 4..=6 {
        line.write_all(&telegram("A", n)).unwrap();
    }
    daemon.wait_for_lines(4);
    let values: Vec<f64> = daemon
        .lines()
        .iter()
        .map(|line| line["reading"]["energy_import_total"]["value"].as_f64().unwrap())
        .collect();
    assert!(
        values.is_sorted() && values.ends_with(&[4.0, 5.0, 6.0]),
        "{values:?}"
    );
}
