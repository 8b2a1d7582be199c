//! Any bytes on a line of IEC 62056-21.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::Iec;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    push_in_pieces(Iec::default, bytes);
});
