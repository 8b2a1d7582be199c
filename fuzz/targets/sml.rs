//! Any bytes on an SML port, as they are and as the file of a right frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::Sml;
use metertap_decode::framing::sml::seal;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    push_in_pieces(Sml::default, bytes);
    push_in_pieces(Sml::default, &seal(bytes));
});
