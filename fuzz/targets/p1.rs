//! Any bytes on a P1 port: nothing panics, nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap_decode::cipher::Keys;
use metertap::port::{CrcPolicy, Listener, P1, P1Options};

fuzz_target!(|bytes: &[u8]| {
    let keys = Keys {
        encryption: "000102030405060708090A0B0C0D0E0F".parse().expect("a key"),
        authentication: None,
    };
    let mut port = P1::new(P1Options {
        crc: CrcPolicy::Ignore,
        keys: Some(keys),
        ..P1Options::default()
    });
    let (first, second) = bytes.split_at(bytes.len() / 2);
    port.push(first, &mut |_| ());
    port.push(second, &mut |_| ());
    port.end(&mut |_| ());
});
