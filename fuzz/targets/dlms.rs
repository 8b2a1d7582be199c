//! Any bytes on a DLMS port, as they are and as the body of a notification in an HDLC frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metertap::port::{Dlms, DlmsOptions};
use metertap_decode::cipher::Keys;
use metertap_decode::framing::dlms::hdlc_segments;
use metertap_fuzz::push_in_pieces;

fuzz_target!(|bytes: &[u8]| {
    let port = || {
        let keys = Keys {
            encryption: "000102030405060708090A0B0C0D0E0F".parse().expect("a key"),
            authentication: None,
        };
        Dlms::new(DlmsOptions {
            keys: Some(keys),
            ..DlmsOptions::default()
        })
    };
    push_in_pieces(port, bytes);
    let notification = [&[0x0F, 0, 0, 0, 0, 0], bytes].concat();
    push_in_pieces(port, &hdlc_segments(&notification, 1000));
});
