//! Prints the readings of SML files on standard input:
//!
//! ```sh
//! cargo run -p metertap-decode --example sml < testdata/sml/ed300l.bin
//! ```

use metertap_decode::framing::sml::Framer;
use metertap_decode::sml::{Message, messages, report};
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut input, mut buffer, mut framer) = (std::io::stdin().lock(), [0; 1024], Framer::default());
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        framer.push(&buffer[..count], |at, frame| {
            if let Err(error) = frame.map_err(Into::into).and_then(|frame| print(&frame.file)) {
                eprintln!("byte {at}: {error}");
            }
        });
    }
}

fn print(file: &[u8]) -> Result<(), Box<dyn Error>> {
    for message in messages(file)? {
        if let Message::List(list) = message {
            println!("{}", serde_json::to_string(&report(&list))?);
        }
    }
    Ok(())
}
