//! Any bytes on an SML port, as they are and as the file of a right frame: nothing panics, nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::{Listener, Sml};
use metertap_decode::framing::sml::seal;

fuzz_target!(|bytes: &[u8]| {
    let mut port = Sml::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    port.push(first, &mut |_| ());
    port.push(second, &mut |_| ());
    port.end(&mut |_| ());
    port.push(&seal(bytes), &mut |_| ());
    port.end(&mut |_| ());
});
