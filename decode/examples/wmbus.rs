//! Decodes telegrams of wireless M-Bus from standard input, one a line in hexadecimal digits, and prints their readings.
//!
//! ```sh
//! echo 1444430478563412 0107 7A2A000000 0413D2040000 | cargo run -p metertap-decode --example wmbus
//! ```
//!
//! The only argument is the key of all meters.

use metertap_decode::wmbus::{Decoder, KeyRing, line, report};
use std::error::Error;
use std::io::stdin;

fn main() -> Result<(), Box<dyn Error>> {
    let mut keys = KeyRing::default();
    if let Some(key) = std::env::args().nth(1) {
        keys.set_any(key.parse()?);
    }
    let mut decoder = Decoder::default();
    for text in stdin().lines() {
        let Some(bytes) = line::telegram(&text?)? else {
            continue;
        };
        match decoder.decode(&bytes, &keys) {
            Ok(telegram) => {
                println!("{}", serde_json::to_string(&report(&telegram))?);
                let problem = telegram
                    .problem
                    .map(|problem| format!("; {problem}"))
                    .unwrap_or_default();
                eprintln!("{}: {}{problem}", telegram.meter.number(), telegram.security);
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
