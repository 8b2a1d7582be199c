//! The sending side of the checks.

use super::{crc, reed_solomon};
use crate::Protocol;

/// Completes a frame for transmission: sets its fixed bits and computes its checks over all others.
///
/// `bytes` is laid out as [`crate::Packet::bytes`] returns it and must be [`Protocol::bytes`] long.
///
/// ```
/// use metertap_dsp::{Protocol, fec};
///
/// let mut scm = [0; 12];
/// scm[9] = 42;
/// fec::encode(Protocol::Scm, &mut scm);
/// assert_eq!(scm[..2], [0xF9, 0x53]);
/// assert_eq!(fec::crc::SCM.syndrome(&scm[2..]), 0);
/// ```
pub fn encode(protocol: Protocol, bytes: &mut [u8]) {
    let mut put = |at: usize, check: u16| bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
    match protocol {
        Protocol::Scm => {
            put(0, 0xF953);
            bytes[2] &= 0x07;
            let check = crc::SCM.check(&bytes[2..10]);
            bytes[10..].copy_from_slice(&check.to_be_bytes());
        }
        Protocol::ScmPlus => {
            put(0, 0x16A3);
            bytes[2] = 0x1E;
            let check = crc::GENIBUS.check(&bytes[2..14]);
            bytes[14..].copy_from_slice(&check.to_be_bytes());
        }
        Protocol::Idm => {
            bytes[..7].copy_from_slice(&[0x55, 0x55, 0x16, 0xA3, 0x1C, 0x5C, 0xC6]);
            let serial = crc::GENIBUS.check(&bytes[9..13]);
            bytes[88..90].copy_from_slice(&serial.to_be_bytes());
            let check = crc::GENIBUS.check(&bytes[4..90]);
            bytes[90..].copy_from_slice(&check.to_be_bytes());
        }
        Protocol::R900 => {
            let data = std::array::from_fn(|i| r900_symbol(bytes, i));
            let parity = reed_solomon::parity(&data);
            bytes[10..].fill(0);
            for (i, symbol) in parity.iter().enumerate() {
                for bit in 0..5 {
                    let at = (reed_solomon::DATA + i) * 5 + bit;
                    bytes[at / 8] |= (symbol >> (4 - bit) & 1) << (7 - at % 8);
                }
            }
        }
    }
}

/// Returns five-bit symbol `index` of an R900 frame.
pub(crate) fn r900_symbol(bytes: &[u8], index: usize) -> u8 {
    (0..5).fold(0, |value, i| {
        let at = index * 5 + i;
        value << 1 | bytes[at / 8] >> (7 - at % 8) & 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_encoded_frame_passes_every_check(mut bytes in prop::collection::vec(any::<u8>(), 92)) {
            for protocol in Protocol::ALL {
                let frame = &mut bytes[..protocol.bytes()];
                encode(protocol, frame);
                let syndrome = match protocol {
                    Protocol::Scm => u32::from(crc::SCM.syndrome(&frame[2..])),
                    Protocol::ScmPlus => u32::from(crc::GENIBUS.syndrome(&frame[2..])),
                    Protocol::Idm => {
                        let serial = [frame[9], frame[10], frame[11], frame[12], frame[88], frame[89]];
                        u32::from(crc::GENIBUS.syndrome(&serial) | crc::GENIBUS.syndrome(&frame[4..]))
                    }
                    Protocol::R900 => reed_solomon::syndrome(&std::array::from_fn(|i| r900_symbol(frame, i))),
                };
                prop_assert_eq!(syndrome, 0, "{:?}", protocol);
            }
        }
    }
}
