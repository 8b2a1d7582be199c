//! Prints the message in the hexadecimal digits of an SCM frame from a radio:
//!
//! ```sh
//! cargo run -p metertap-decode --example ert -- F953007400BC55BC614E8E66
//! ```

use data_encoding::HEXUPPER_PERMISSIVE;
use metertap_decode::ert::{Kind, Message};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let digits = std::env::args()
        .nth(1)
        .ok_or("the digits of a frame are missing")?;
    let frame = HEXUPPER_PERMISSIVE.decode(digits.as_bytes())?;
    let message = Message::parse(Kind::Scm, &frame)?;
    println!(
        "meter {}: {} counts, {:?}",
        message.id(),
        message.consumption(),
        message.commodity()
    );
    Ok(())
}
