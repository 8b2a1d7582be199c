//! Any bytes on an M-Bus: nothing panics, nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::{Listener, Mbus};

fuzz_target!(|bytes: &[u8]| {
    let mut port = Mbus::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    port.push(first, &mut |_| ());
    port.push(second, &mut |_| ());
    port.end(&mut |_| ());
});
