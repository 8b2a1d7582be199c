//! Any bytes on a TIC port: nothing panics, nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::{Listener, Tic};

fuzz_target!(|bytes: &[u8]| {
    let mut port = Tic::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    port.push(first, &mut |_| ());
    port.push(second, &mut |_| ());
    port.end(&mut |_| ());
});
