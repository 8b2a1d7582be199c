//! A P1 meter whose readings are numbered, so that a lost one is noticed.

use super::broker::Subscriber;
use super::wait::wait_for;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// A meter `M1` behind a TCP bridge; its telegram number n reads n kWh.
pub struct CountingMeter {
    bridge: TcpListener,
    line: Option<TcpStream>,
    /// Telegrams sent so far.
    pub sent: u32,
}

impl CountingMeter {
    pub fn new() -> Self {
        let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
        bridge.set_nonblocking(true).unwrap();
        CountingMeter {
            bridge,
            line: None,
            sent: 0,
        }
    }

    /// Waits for the daemon to connect. Its newest connection counts: a port that received nothing for long is
    /// opened anew.
    pub fn accept(&mut self) {
        let mut line = None;
        wait_for("a connection to the meter", || {
            while let Ok((newer, _)) = self.bridge.accept() {
                line = Some(newer);
            }
            line.is_some()
        });
        let line = line.unwrap();
        line.set_nonblocking(false).unwrap();
        self.line = Some(line);
    }

    /// Sends the next `telegrams` telegrams.
    pub fn send(&mut self, telegrams: u32) {
        for _ in 0..telegrams {
            self.send_with("");
        }
    }

    /// Sends the next telegram with a text message of 900 characters in it.
    pub fn send_large(&mut self) {
        self.send_with(&format!("0-0:96.13.0({})\n", "41".repeat(900)));
    }

    fn send_with(&mut self, more: &str) {
        if self.line.is_none() {
            self.accept();
        }
        // The daemon may have opened the port anew.
        while let Ok((newer, _)) = self.bridge.accept() {
            newer.set_nonblocking(false).unwrap();
            self.line = Some(newer);
        }
        self.sent += 1;
        let text = format!(
            "/MTP5count\n\n0-0:96.1.1(4D31)\n1-0:1.8.0({:06}.000*kWh)\n{more}",
            self.sent
        );
        self.line.as_mut().unwrap().write_all(&seal(&text, true)).unwrap();
    }

    /// Waits until the newest reading is in the spool file, and the file is at rest.
    pub fn wait_until_spooled(&self, spool: &Path) {
        let newest = format!("\"value\":{}.000", self.sent);
        let mut before = Vec::new();
        wait_for("the newest reading in the spool", || {
            let now = std::fs::read(spool).unwrap_or_default();
            let is_at_rest = now == before;
            before = now;
            is_at_rest
                && before
                    .windows(newest.len())
                    .any(|window| window == newest.as_bytes())
        });
    }

    /// A configuration with this meter and an `[mqtt]` section.
    pub fn config(&self, mqtt: &str) -> String {
        format!(
            "[mqtt]\n{mqtt}\n[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
            self.bridge.local_addr().unwrap()
        )
    }
}

/// Number of the telegram from which a published reading was made.
pub fn number(payload: &str) -> u32 {
    let payload: Value = serde_json::from_str(payload).unwrap_or_else(|e| panic!("{e}: {payload}"));
    payload["reading"]["energy_import_total"]["value"]
        .as_f64()
        .unwrap() as u32
}

/// Numbers of all readings that a subscriber gets, in order.
pub fn counters(subscriber: Subscriber) -> Vec<u32> {
    let payloads = subscriber.payloads();
    payloads.iter().map(|payload| number(payload)).collect()
}

/// Numbers of the readings that a subscriber gets, in order, until `last` has come; without those that came a second
/// time.
pub fn counters_through(subscriber: Subscriber, last: u32) -> Vec<u32> {
    let messages = subscriber.messages_until(|messages| {
        messages
            .last()
            .is_some_and(|(_, payload)| number(payload) == last)
    });
    without_repeats(messages.iter().map(|(_, payload)| number(payload)).collect())
}

/// Numbers in their order without those that came a second time.
fn without_repeats(mut counters: Vec<u32>) -> Vec<u32> {
    let mut highest = 0;
    counters.retain(|counter| {
        let is_new = *counter > highest;
        highest = highest.max(*counter);
        is_new
    });
    counters
}
