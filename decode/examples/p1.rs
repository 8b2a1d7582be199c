//! Prints the readings of P1 telegrams on standard input, such as those of a serial port:
//!
//! ```sh
//! cargo run -p metertap-decode --example p1 < testdata/p1/belgium.txt
//! ```

use metertap_decode::framing::p1::{Crc, Framer};
use metertap_decode::p1::{Telegram, readings, text};
use metertap_decode::time::Zone;
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let zone: Zone = "Europe/Amsterdam".parse()?;
    let (mut input, mut buffer, mut framer) = (std::io::stdin().lock(), [0; 1024], Framer::default());
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        framer.push(&buffer[..count], |frame| {
            // Meters before DSMR 4 send no CRC.
            if let Crc::Wrong { stated, computed } = frame.crc {
                return eprintln!("byte {}: CRC {stated:04X} should be {computed:04X}", frame.at);
            }
            match Telegram::parse(&text(&frame.bytes)) {
                Ok(telegram) => {
                    for reading in readings(&telegram, &zone) {
                        println!("{}", serde_json::to_string(&reading).unwrap_or_default());
                    }
                }
                Err(error) => eprintln!("byte {}: {error}", frame.at),
            }
        });
    }
}
