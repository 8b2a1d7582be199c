//! Any telegrams of wireless M-Bus, as bytes and as lines: nothing panics, nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap_decode::cipher::Key;
use metertap_decode::wmbus::{Decoder, KeyRing, explain, format_a, kem, line, report};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::default();
    let mut with_key = KeyRing::default();
    with_key.set_any(Key::from([0; 16]));
    // The bytes themselves; with the length that is theirs; and with CRCs, as every block of a frame must have them.
    let mut fitting = bytes[..bytes.len().min(256)].to_vec();
    if let Some(length) = fitting.len().checked_sub(1) {
        fitting[0] = length as u8;
    }
    for telegram in [bytes, &fitting, &format_a(&fitting)] {
        for keys in [&KeyRing::default(), &with_key] {
            if let Ok(telegram) = decoder.decode(telegram, keys) {
                let _ = (report(&telegram), explain(&telegram));
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = line::telegram(text);
    }
    let _ = kem::meters(bytes, "password");
});
