//! Prints the readings of TIC frames, which French meters send, on standard input:
//!
//! ```sh
//! cargo run -p metertap-decode --example tic < testdata/tic/producer.bin
//! ```

use metertap_decode::framing::tic::Framer;
use metertap_decode::tic::report;
use metertap_decode::time::Zone;
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let zone: Zone = "Europe/Paris".parse()?;
    let (mut input, mut buffer, mut framer) = (std::io::stdin().lock(), [0; 256], Framer::default());
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        framer.push(&buffer[..count], |at, frame| {
            let Ok(frame) = frame else {
                return eprintln!("byte {at}: the frame breaks off");
            };
            match report(&frame, &zone) {
                Ok(report) => println!("{}", serde_json::to_string(&report).unwrap_or_default()),
                Err(error) => eprintln!("byte {at}: {error}"),
            }
        });
    }
}
