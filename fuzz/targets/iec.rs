//! Any bytes on a line of IEC 62056-21: nothing panics, nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::{Iec, Listener};

fuzz_target!(|bytes: &[u8]| {
    let mut port = Iec::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    port.push(first, &mut |_| ());
    port.push(second, &mut |_| ());
    port.end(&mut |_| ());
});
