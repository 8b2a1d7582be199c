//! Any bytes on a Kamstrup meter's eye.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::Kmp;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    push_in_pieces(Kmp::default, bytes);
});
