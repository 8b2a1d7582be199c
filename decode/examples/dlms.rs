//! Prints the readings of DLMS messages on standard input, in HDLC or M-Bus frames, encrypted or not:
//!
//! ```sh
//! cargo run -p metertap-decode --example dlms -- [KEY [AUTHENTICATION_KEY]] < messages.bin
//! ```

use metertap_decode::cipher::{Ciphered, Keys};
use metertap_decode::dlms::{NOTIFICATION, Notification, ReportOptions, ScaleMemory, report_with};
use metertap_decode::framing::dlms::DlmsFramer;
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let keys = match arguments.next() {
        Some(key) => Some(Keys {
            encryption: key.parse()?,
            authentication: arguments.next().map(|key| key.parse()).transpose()?,
        }),
        None => None,
    };
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let (mut framer, mut messages) = (DlmsFramer::new(), Vec::new());
    framer.push(&bytes, |at, message| messages.push((at, message)));
    framer.pause(|at, message| messages.push((at, message)));
    // Remembers which powers of ten the messages of this meter fit.
    let mut memory = ScaleMemory::default();
    for (at, message) in messages {
        let printed = message
            .map_err(Into::into)
            .and_then(|message| print(&message, keys.as_ref(), &mut memory));
        if let Err(error) = printed {
            eprintln!("byte {at}: {error}");
        }
    }
    Ok(())
}

fn print(message: &[u8], keys: Option<&Keys>, memory: &mut ScaleMemory) -> Result<(), Box<dyn Error>> {
    let (notification, title) = if message.first() == Some(&NOTIFICATION) {
        (Notification::parse(message)?, None)
    } else {
        let (ciphered, _) = Ciphered::parse(message)?;
        let keys = keys.ok_or("the message is encrypted, and there is no key")?;
        let plain = ciphered.decrypt(keys)?;
        (Notification::parse(&plain)?, Some(ciphered.system_title))
    };
    let report = report_with(&notification, title, &ReportOptions::default(), memory);
    println!("{}", serde_json::to_string(&report)?);
    for finding in memory.take_findings() {
        eprintln!("{finding}");
    }
    Ok(())
}
