//! Any bytes on a P1 port.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::{CrcPolicy, P1, P1Options};
use metertap_decode::cipher::Keys;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    let port = || {
        let keys = Keys {
            encryption: "000102030405060708090A0B0C0D0E0F".parse().expect("a key"),
            authentication: None,
        };
        P1::new(P1Options {
            crc: CrcPolicy::Ignore,
            keys: Some(keys),
            ..P1Options::default()
        })
    };
    push_in_pieces(port, bytes);
});
