//! A meter that counts, so that whoever hears it knows what is missing; and what stands between a daemon and a broker.

use super::*;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::io::Write;

/// Telegram number `n` says `n` kWh.
pub struct Meter {
    bridge: TcpListener,
    line: Option<TcpStream>,
    pub sent: u32,
}

impl Meter {
    pub fn new() -> Self {
        let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
        bridge.set_nonblocking(true).unwrap();
        Meter {
            bridge,
            line: None,
            sent: 0,
        }
    }

    /// A daemon has connected. Its newest line counts: a port that heard nothing for long is opened anew.
    pub fn connected(&mut self) {
        let mut line = None;
        wait_for("the daemon", || {
            while let Ok(newer) = self.bridge.accept() {
                line = Some(newer);
            }
            line.is_some()
        });
        let (line, _) = line.unwrap();
        line.set_nonblocking(false).unwrap();
        self.line = Some(line);
    }

    pub fn says(&mut self, telegrams: u32) {
        if self.line.is_none() {
            self.connected();
        }
        for _ in 0..telegrams {
            self.sent += 1;
            let text = format!(
                "/MTP5count\n\n0-0:96.1.1(4D31)\n1-0:1.8.0({:06}.000*kWh)\n",
                self.sent
            );
            self.line.as_mut().unwrap().write_all(&seal(&text, true)).unwrap();
        }
    }

    pub fn config(&self, mqtt: &str) -> String {
        format!(
            "[mqtt]\n{mqtt}\n[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
            self.bridge.local_addr().unwrap()
        )
    }
}

/// What its reading says.
pub fn number(payload: &str) -> u32 {
    let payload: Value = serde_json::from_str(payload).unwrap_or_else(|e| panic!("{e}: {payload}"));
    payload["reading"]["energy_import_total"]["value"]
        .as_f64()
        .unwrap() as u32
}

/// The counters that came, in their order.
pub fn counters(subscriber: Subscriber) -> Vec<u32> {
    let messages = subscriber.messages();
    messages.iter().map(|(_, payload)| number(payload)).collect()
}

/// All of them, in order; what came twice is left out.
pub fn without_repeats(mut counters: Vec<u32>) -> Vec<u32> {
    let mut highest = 0;
    counters.retain(|counter| {
        let is_new = *counter > highest;
        highest = highest.max(*counter);
        is_new
    });
    counters
}

/// Passes everything on, both ways.
pub fn pass_on(mut from: TcpStream, port: u16) {
    let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut a, mut b) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut a, &mut b));
    std::thread::spawn(move || std::io::copy(&mut to, &mut from));
}

/// Passes on what the daemon says, and of what the broker says only the greeting, until nothing has come for `quiet`.
pub fn pass_on_one_way(from: TcpStream, port: u16, quiet: Duration) {
    half_open(from, port, quiet, usize::MAX);
}

/// Passes on the greetings, and then nothing more, either way.
pub fn swallow(from: TcpStream, port: u16) {
    half_open(from, port, Duration::from_secs(30), 1);
}

/// So many pieces to the broker, and back only the CONNACK.
fn half_open(mut from: TcpStream, port: u16, quiet: Duration, pieces: usize) {
    let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut back, mut greeted) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4];
        greeted.read_exact(&mut buffer).unwrap();
        back.write_all(&buffer).unwrap();
    });
    from.set_read_timeout(Some(quiet)).unwrap();
    let mut buffer = [0; 4096];
    let mut passed = 0;
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if passed < pieces {
            to.write_all(&buffer[..n]).unwrap();
        }
        passed += 1;
    }
}
