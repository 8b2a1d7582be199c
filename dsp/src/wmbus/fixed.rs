//! Frames of fixed length under one check: America's meters.
//!
//! Their layouts are published by rtl_433 (`src/devices/badger_water.c`, `badger_orion_endpoint.c`, `mueller_hotrod.c`,
//! `arad_ms_meter.c`). The check of Dialog 3G is a linear code without a name; it was found by comparing frames (issue 3459).

use super::coding::Coding;
use super::mode::Mode;
use crate::fec::correct::Code;
use crate::fec::crc::{Crc16, EN_13757};

/// Layout of the frames of one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub mode: Mode,
    pub coding: Coding,
    pub check: Check,
    /// Bytes before the check.
    pub data: usize,
    pub is_whitened: bool,
}

pub(super) const ORION: Fixed = Fixed {
    mode: Mode::Orion,
    coding: Coding::ThreeOfSix,
    check: Check::Wmbus,
    data: 8,
    is_whitened: false,
};
pub(super) const ORION_ENDPOINT: Fixed = Fixed {
    mode: Mode::OrionEndpoint,
    coding: Coding::Nrz,
    check: Check::Cms,
    data: 21,
    is_whitened: true,
};
pub(super) const HOT_ROD: Fixed = Fixed {
    mode: Mode::HotRod,
    coding: Coding::Nrz,
    check: Check::Itu,
    data: 8,
    is_whitened: false,
};
pub(super) const DIALOG_3G: Fixed = Fixed {
    mode: Mode::Dialog3g,
    coding: Coding::Manchester,
    check: Check::Dialog3g,
    data: 11,
    is_whitened: false,
};

/// Most bytes of a frame, with its check.
pub(super) const MAX_FIXED: usize = 23;

impl Fixed {
    /// Bytes on the air behind the sync word.
    pub fn air_bytes(self) -> usize {
        self.data + self.check.len()
    }

    /// Whitens, or removes the whitening.
    pub fn whiten(self, bytes: &mut [u8]) {
        if self.is_whitened {
            bytes.iter_mut().zip(pn9()).for_each(|(byte, key)| *byte ^= key);
        }
    }

    /// Returns the bytes on the air of `data`, of which too much is cut off and what is missing is zero.
    #[cfg(feature = "synth")]
    pub fn framed(self, data: &[u8]) -> Vec<u8> {
        let mut bytes = data.to_vec();
        bytes.resize(self.data, 0);
        let check = self.check.of(&bytes).to_be_bytes();
        bytes.extend(&check[8 - self.check.len()..]);
        self.whiten(&mut bytes);
        bytes
    }
}

/// Check at the end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// CRC of wireless M-Bus.
    Wmbus,
    /// CRC-16/CMS.
    Cms,
    /// CRC-8/ITU.
    Itu,
    /// Forty bits, of which the last three are zero.
    Dialog3g,
}

/// CRC-16/CMS: the chips of Texas Instruments compute it, and whiten as below.
const CMS: Crc16 = Crc16 {
    poly: 0x8005,
    init: 0xFFFF,
    xor_out: 0,
};
/// CRC-8/ITU in the upper half of a register of sixteen bits.
const ITU: Crc16 = Crc16 {
    poly: 0x0700,
    init: 0,
    xor_out: 0x5500,
};

impl Check {
    /// Every check, in the order of its number.
    pub const ALL: [Check; 4] = [Check::Wmbus, Check::Cms, Check::Itu, Check::Dialog3g];

    /// Bytes.
    pub fn len(self) -> usize {
        match self {
            Check::Wmbus | Check::Cms => 2,
            Check::Itu => 1,
            Check::Dialog3g => 5,
        }
    }

    /// Returns the check of `data`.
    pub fn of(self, data: &[u8]) -> u64 {
        match self {
            Check::Wmbus => EN_13757.check(data).into(),
            Check::Cms => CMS.check(data).into(),
            Check::Itu => u64::from(ITU.check(data) >> 8),
            Check::Dialog3g => dialog_3g(data),
        }
    }

    /// Returns zero if and only if `bytes` end with the check of those before.
    pub fn syndrome(self, bytes: &[u8]) -> u64 {
        let (data, check) = bytes.split_at(bytes.len().saturating_sub(self.len()));
        let sent = check.iter().fold(0, |sent, byte| sent << 8 | u64::from(*byte));
        self.of(data) ^ sent
    }

    /// Returns what a flipped bit adds to the syndrome, by its distance from the end of the frame.
    pub fn columns(self) -> Vec<u32> {
        let clean = self.syndrome(&[0; MAX_FIXED]);
        let column = |from_end: usize| {
            let mut bytes = [0; MAX_FIXED];
            bytes[MAX_FIXED - 1 - from_end / 8] = 1 << (from_end % 8);
            fold(self.syndrome(&bytes) ^ clean)
        };
        (0..MAX_FIXED * 8).map(column).collect()
    }

    /// Returns the properties of the code.
    pub fn code(self) -> Code {
        match self {
            Check::Wmbus => Code {
                bits: 16.0,
                distance: 3,
                even: false,
            },
            // Both generators have the factor x + 1, and distance 4 at these lengths.
            Check::Cms => Code {
                bits: 15.0,
                distance: 4,
                even: true,
            },
            Check::Itu => Code {
                bits: 7.0,
                distance: 4,
                even: true,
            },
            // No six columns add up to zero: looked for among all.
            Check::Dialog3g => Code {
                bits: 37.0,
                distance: 6,
                even: false,
            },
        }
    }
}

/// Folds a syndrome to the width of the corrector's. Two patterns in a few million become alike; the whole syndrome is looked at after
/// the correction.
pub(super) fn fold(syndrome: u64) -> u32 {
    (syndrome ^ syndrome >> 32) as u32
}

/// Returns the check of Dialog 3G. A bit adds its column; the column of a bit is that of the next one, shifted, with feedback from three
/// places.
fn dialog_3g(data: &[u8]) -> u64 {
    const LAST: u64 = 0x30_3788_9DD8;
    const FEEDBACK: [(u32, u64); 3] = [(39, 0x00_0140_13F8), (31, 0x20_1080_D890), (23, 0x00_018F_36C8)];
    let (mut check, mut column) = (0, LAST);
    for byte in data.iter().rev() {
        for bit in 0..8 {
            if byte >> bit & 1 == 1 {
                check ^= column;
            }
            let fed_back = FEEDBACK.iter().filter(|(place, _)| column >> place & 1 == 1);
            column = fed_back.fold(column << 1, |column, (_, mask)| column ^ mask) & ((1 << 40) - 1);
        }
    }
    check
}

/// Returns the whitening sequence x⁹ + x⁵ + 1, from all ones, the first bit lowest in its byte.
fn pn9() -> impl Iterator<Item = u8> {
    let mut register = 0x1FFu16;
    std::iter::repeat_with(move || {
        let key = register as u8;
        for _ in 0..8 {
            register = register >> 1 | (register ^ register >> 5) << 8 & 0x100;
        }
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checks_and_whitening_are_those_of_the_catalogs() {
        // Catalogue of parametrised CRC algorithms: CRC-16/CMS and CRC-8/I-432-1 of the digits 1 to 9.
        assert_eq!(Check::Cms.of(b"123456789"), 0xAEE7);
        assert_eq!(Check::Itu.of(b"123456789"), 0xA1);
        // Texas Instruments, design note DN509.
        let first: Vec<u8> = pn9().take(6).collect();
        assert_eq!(first, [0xFF, 0xE1, 0x1D, 0x9A, 0xED, 0x85]);
    }

    #[test]
    fn no_four_columns_of_dialog_3g_add_up_to_zero() {
        // Those of the last three bits, which are never set, are left out.
        let columns: Vec<u64> = (3..128)
            .map(|at| {
                let mut bytes = [0; 16];
                bytes[15 - at / 8] = 1 << (at % 8);
                Check::Dialog3g.syndrome(&bytes)
            })
            .collect();
        let mut seen = std::collections::HashSet::from([0]);
        for (i, a) in columns.iter().enumerate() {
            assert!(seen.insert(*a));
            assert!(columns[..i].iter().all(|b| seen.insert(a ^ b)));
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_adds_its_column(data in prop::collection::vec(any::<u8>(), 21), at in any::<prop::sample::Index>()) {
            for fixed in [ORION, ORION_ENDPOINT, HOT_ROD, DIALOG_3G] {
                let mut frame = Fixed { is_whitened: false, ..fixed }.framed(&data[..fixed.data]);
                prop_assert_eq!(frame.len(), fixed.air_bytes());
                prop_assert_eq!(fixed.check.syndrome(&frame), 0);
                let bit = at.index(frame.len() * 8);
                let len = frame.len();
                frame[len - 1 - bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(fold(fixed.check.syndrome(&frame)), fixed.check.columns()[bit]);
            }
        }
    }
}
