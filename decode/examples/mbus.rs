//! Prints the readings of M-Bus answers on standard input, and the request that gets one:
//!
//! ```sh
//! cargo run -p metertap-decode --example mbus < answers.bin
//! ```

use metertap_decode::framing::mbus::{Frame, FrameError, short};
use metertap_decode::mbus::Message;
use metertap_decode::mbus_report::report;
use std::error::Error;
use std::io::Read;

/// Request for data (REQ_UD2) with the frame count bit set.
const REQ_UD2: u8 = 0x7B;

fn main() -> Result<(), Box<dyn Error>> {
    eprintln!(
        "the meter with primary address 5 answers to {:02X?}",
        short(REQ_UD2, 5)
    );
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let mut at = 0;
    while at < bytes.len() {
        at += match Frame::parse(&bytes[at..]) {
            Ok((
                Frame::Long {
                    information, data, ..
                },
                len,
            )) => {
                match Message::parse(information, data) {
                    Ok(message) => println!("{}", serde_json::to_string(&report(&message))?),
                    Err(error) => eprintln!("byte {at}: {error}"),
                }
                len
            }
            Ok((_, len)) => len,
            Err(error @ FrameError::WrongChecksum { len, .. }) => {
                eprintln!("byte {at}: {error}");
                len
            }
            // Noise in front of a frame, or the end of the last one is missing.
            Err(_) => 1,
        };
    }
    Ok(())
}
