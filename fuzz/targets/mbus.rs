//! Any bytes on an M-Bus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::Mbus;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    push_in_pieces(Mbus::default, bytes);
});
