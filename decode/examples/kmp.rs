//! Prints the registers in an answer of a Kamstrup meter on standard input, and the request that gets them:
//!
//! ```sh
//! cargo run -p metertap-decode --example kmp < answer.bin
//! ```

use metertap_decode::framing::kmp::{Frame, request};
use metertap_decode::kamstrup::{Answer, GET_REGISTERS, fields, model};
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    // A request has room for eight registers.
    let registers = &model("403").ok_or("unknown model")?[..8];
    let mut data = vec![registers.len() as u8];
    data.extend(registers.iter().flat_map(|register| register.to_be_bytes()));
    eprintln!("send {:02X?}", request(GET_REGISTERS, &data));
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let (frame, _range) = Frame::find(&bytes).ok_or("no frame")?;
    let frame = frame?;
    if let Answer::Registers(registers) = Answer::parse(frame.command, &frame.data)? {
        println!("{}", serde_json::to_string(&fields(&registers))?);
    }
    Ok(())
}
