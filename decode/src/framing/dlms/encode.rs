//! Encoders of pushed messages, for tests and simulators.

use super::{BLOCK, LLC};
use crate::framing::{hdlc, mbus};

/// Returns M-Bus frames that carry `message` in segments of at most `max_len` bytes. Segments have four-bit numbers, so
/// there may be sixteen of them.
pub fn mbus_segments(message: &[u8], max_len: usize) -> Vec<u8> {
    let segments: Vec<&[u8]> = message.chunks(max_len.clamp(1, 254)).collect();
    let mut out = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let last = if number + 1 == segments.len() { 0x10 } else { 0 };
        let data = [&[0x01, 0x67], *segment].concat();
        out.extend(mbus::long(0x53, 0xFF, (number as u8 & 0x0F) | last, &data));
    }
    out
}

/// Returns HDLC frames that carry `message` and its LLC header in segments of at most `max_len` bytes.
pub fn hdlc_segments(message: &[u8], max_len: usize) -> Vec<u8> {
    hdlc::segments(&[&LLC, message].concat(), max_len)
}

/// Returns HDLC frames that carry `message` in blocks of at most `max_len` bytes, one in each frame.
pub fn block_segments(message: &[u8], max_len: usize) -> Vec<u8> {
    let parts: Vec<&[u8]> = message.chunks(max_len.clamp(1, 127)).collect();
    let mut out = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let last = if i + 1 == parts.len() { 0x80 } else { 0 };
        let mut block = vec![BLOCK, 0x40 | last];
        block.extend((i as u16 + 1).to_be_bytes());
        block.extend([0, 0, part.len() as u8]);
        block.extend(*part);
        let frame = if i == 0 {
            [&LLC, &block[..]].concat()
        } else {
            block
        };
        out.extend(hdlc::segments(&frame, 2000));
    }
    out
}
