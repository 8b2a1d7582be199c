//! Prints the readings of IEC 62056-21 readouts on standard input:
//!
//! ```sh
//! cargo run -p metertap-decode --example iec < testdata/iec/zmd.bin
//! ```

use metertap_decode::framing::iec::Readout;
use metertap_decode::iec::report;
use metertap_decode::time::Zone;
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let mut rest = &bytes[..];
    while let Some((readout, _start, end)) = Readout::find(rest) {
        match readout {
            Ok(readout) => println!("{}", serde_json::to_string(&report(&readout, &Zone::default()))?),
            Err(error) => eprintln!("byte {}: {error}", bytes.len() - rest.len()),
        }
        rest = &rest[end..];
    }
    Ok(())
}
