//! Framing: finds frames in a byte stream that may begin anywhere, break off anywhere and carry noise, and verifies their
//! checks.
//!
//! | protocol | module | check |
//! | --- | --- | --- |
//! | P1/DSMR telegrams | [`p1`] | CRC-16/ARC |
//! | ciphered telegrams and messages | [`general_glo`] | tag of AES-GCM |
//! | DLMS messages, over HDLC, M-Bus, block transfer or bare | [`dlms`] | that of the carrier |
//! | HDLC | [`hdlc`] | CRC-16/X-25 |
//! | M-Bus, wired | [`mbus`] | sum |
//! | KMP | [`kmp`] | CRC-16/XMODEM |
//! | SML | [`sml`] | CRC-16/X-25 |
//! | Linky's TIC | [`tic`] | sum of each group |
//! | IEC 62056-21 readouts | [`iec`] | XOR |
//!
//! The framers of [`p1`], [`general_glo`], [`dlms`], [`sml`] and [`tic`] collect bytes; their buffers are bounded. The others are functions
//! on a slice that begins with a frame.

pub mod dlms;
pub mod general_glo;
pub mod hdlc;
pub mod iec;
pub mod kmp;
pub mod mbus;
pub mod p1;
pub mod sml;
pub mod tic;
