//! Any bytes on a TIC port.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::Tic;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    push_in_pieces(Tic::default, bytes);
});
