//! Blocks: soft words to bytes, checked by the CRC of each block and, where needed, corrected.

use super::coding::{Coding, MAX_WORDS};
use super::fixed::{Check, Fixed, fold};
use super::frame::MAX_BYTES;
use super::mode::Format;
use crate::fec::correct::{Code, Flip, MAX_FLIPS, correct};
use crate::fec::crc::EN_13757;

/// Bytes of a CRC.
pub(super) const CRC_LEN: usize = 2;
/// Bytes of the first block of format A without its CRC.
pub(super) const HEADER: usize = 10;
/// Most bytes of any other block of format A without its CRC.
const DATA: usize = 16;
/// Most bytes of the first block of format B, with its CRC.
const FIRST_B: usize = 128;
/// Most bytes of a frame on the air: 18 blocks of format A.
pub(super) const MAX_AIR_BYTES: usize = 292;
/// Least length field: the address and something that it is about.
const MIN_LENGTH: u8 = 10;

/// The generator has the factor x + 1: code words have even weight, and at least 6 up to 151 bits, 4 beyond.
const BITS_SHORT: Code = Code {
    bits: 15.0,
    distance: 6,
    even: true,
};
const BITS_LONG: Code = Code {
    distance: 4,
    ..BITS_SHORT
};
/// Bits of a block up to which code words have a weight of 6.
const SHORT: usize = 151;
/// The same code over half bytes.
const HALF_BYTES: Code = Code {
    bits: 16.0,
    distance: 3,
    even: false,
};

/// Soft words: the log-probability of each value of each word.
#[derive(Clone, Copy)]
pub(super) struct Soft<'a> {
    pub words: &'a [f32],
    pub coding: Coding,
}

impl Soft<'_> {
    /// Whole bytes held.
    pub fn bytes(&self) -> usize {
        self.words.len() / self.coding.words().len() / self.coding.words_per_byte()
    }

    /// Returns the likeliest value of a word and its log-probability.
    fn word(&self, i: usize) -> (u8, &[f32]) {
        let values = self.coding.words().len();
        let all = &self.words[i * values..(i + 1) * values];
        let best = (0..values).max_by(|a, b| all[*a].total_cmp(&all[*b]));
        (best.unwrap_or(0) as u8, all)
    }
}

/// Frame whose blocks have passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Checked {
    /// Without CRCs, and with the length field of format A.
    pub bytes: [u8; MAX_BYTES],
    pub len: usize,
    /// Bytes on the air, with CRCs.
    pub air_bytes: usize,
    pub corrected: usize,
    pub doubt: f64,
}

impl Checked {
    /// Starts a frame; `no_frame` are the odds that there is none.
    pub fn new() -> Self {
        Checked {
            bytes: [0; MAX_BYTES],
            len: 0,
            air_bytes: 0,
            corrected: 0,
            doubt: 0.0,
        }
    }
}

/// Check over a block.
#[derive(Clone, Copy)]
struct Cover<'a> {
    code: Code,
    /// What a flipped bit adds to the syndrome, by its distance from the end of the block.
    columns: &'a [u32],
    /// Odds that there is no frame.
    no_frame: f64,
}

/// Block whose check matches.
struct Block {
    bytes: [u8; FIRST_B],
    corrected: usize,
    error_probability: f64,
}

/// Decides on the block of `len` bytes that begins with word `first`, and corrects it by the `syndrome` of what was decided.
fn decide(
    soft: Soft,
    first: usize,
    len: usize,
    cover: Cover,
    flips: &mut Vec<Flip>,
    syndrome: impl FnOnce(&mut [u8]) -> u32,
) -> Option<Block> {
    let (per_byte, bits) = (soft.coding.words_per_byte(), soft.coding.word_bits());
    let mut block = [0u8; FIRST_B];
    flips.clear();
    for i in 0..len * per_byte {
        let (best, all) = soft.word(first + i);
        block[i / per_byte] |= best << (8 - bits - i % per_byte * bits);
        for value in (0..all.len() as u8).filter(|value| *value != best) {
            let change = value ^ best;
            // Distance of the word's last bit from the end of the block.
            let from_end = len * 8 - (i + 1) * bits;
            let columns = cover.columns[from_end..from_end + bits].iter().enumerate();
            let changed = columns.filter(|(bit, _)| change >> bit & 1 == 1);
            flips.push(Flip {
                group: i as u16,
                change,
                cost: all[usize::from(best)] - all[usize::from(value)],
                syndrome: changed.fold(0, |syndrome, (_, column)| syndrome ^ column),
            });
        }
    }
    let syndrome = syndrome(&mut block[..len]);
    let found = correct(syndrome, cover.code, cover.no_frame, MAX_FLIPS, flips)?;
    for flip in found.flips() {
        let i = usize::from(flip.group);
        block[i / per_byte] ^= flip.change << (8 - bits - i % per_byte * bits);
    }
    Some(Block {
        bytes: block,
        corrected: found.flips().len(),
        error_probability: found.error_probability.into(),
    })
}

/// Corrects blocks; holds the columns of the checks and buffers.
pub(super) struct Blocks {
    /// Columns of the CRC, and of the checks of frames of fixed length.
    columns: Vec<u32>,
    fixed: [Vec<u32>; Check::ALL.len()],
    flips: Vec<Flip>,
}

impl Blocks {
    pub fn new() -> Self {
        let bits = FIRST_B * 8;
        Blocks {
            columns: (0..bits).map(|i| u32::from(EN_13757.column(i))).collect(),
            fixed: Check::ALL.map(Check::columns),
            flips: Vec::with_capacity(bits.max((DATA + CRC_LEN) * 2 * (MAX_WORDS - 1))),
        }
    }

    /// Appends the block of `len` bytes (with its CRC) that follows to `frame`. Returns false if it cannot be made to pass.
    pub fn append(&mut self, soft: Soft, len: usize, no_frame: f64, frame: &mut Checked) -> bool {
        if len <= CRC_LEN || len > FIRST_B || soft.bytes() < frame.air_bytes + len {
            return false;
        }
        let cover = Cover {
            code: match soft.coding {
                Coding::ThreeOfSix => HALF_BYTES,
                _ if len * 8 <= SHORT => BITS_SHORT,
                _ => BITS_LONG,
            },
            columns: &self.columns,
            no_frame,
        };
        let first = frame.air_bytes * soft.coding.words_per_byte();
        let syndrome = |bytes: &mut [u8]| u32::from(EN_13757.syndrome(bytes));
        let Some(block) = decide(soft, first, len, cover, &mut self.flips, syndrome) else {
            return false;
        };
        let data = &block.bytes[..len - CRC_LEN];
        let Some(room) = frame.bytes.get_mut(frame.len..frame.len + data.len()) else {
            return false;
        };
        room.copy_from_slice(data);
        frame.len += data.len();
        frame.air_bytes += len;
        frame.corrected += block.corrected;
        let right = (1.0 - frame.doubt) * (1.0 - block.error_probability);
        frame.doubt = 1.0 - right;
        true
    }

    /// Returns a frame of fixed length; `None` if it cannot be made to pass.
    pub fn fixed(&mut self, soft: Soft, fixed: Fixed, no_frame: f64) -> Option<Checked> {
        let (len, check) = (fixed.air_bytes(), fixed.check);
        if soft.bytes() < len {
            return None;
        }
        let cover = Cover {
            code: check.code(),
            columns: &self.fixed[check as usize],
            no_frame,
        };
        let syndrome = |bytes: &mut [u8]| {
            fixed.whiten(bytes);
            fold(check.syndrome(bytes))
        };
        let block = decide(soft, 0, len, cover, &mut self.flips, syndrome)?;
        let bytes = &block.bytes[..len];
        // What consists of zeros passes a check that begins with zero, and no meter has the number 0.
        if check.syndrome(bytes) != 0 || bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let mut checked = Checked::new();
        checked.bytes[..fixed.data].copy_from_slice(&bytes[..fixed.data]);
        checked.len = fixed.data;
        checked.air_bytes = len;
        checked.corrected = block.corrected;
        checked.doubt = block.error_probability;
        Some(checked)
    }

    /// Appends all blocks of format A after the first.
    pub fn append_rest_of_a(&mut self, soft: Soft, frame: &mut Checked) -> bool {
        let total = usize::from(frame.bytes[0]) + 1;
        while frame.len < total {
            let len = DATA.min(total - frame.len) + CRC_LEN;
            // Odds that the blocks so far were no frame.
            let no_frame = frame.doubt / (1.0 - frame.doubt).max(1e-9);
            if !self.append(soft, len, no_frame, frame) {
                return false;
            }
        }
        true
    }

    /// Appends all blocks of format B.
    pub fn append_b(&mut self, soft: Soft, length: u8, no_frame: f64, frame: &mut Checked) -> bool {
        let total = usize::from(length) + 1;
        let first = total.min(FIRST_B);
        if !self.append(soft, first, no_frame, frame) || frame.bytes[0] != length {
            return false;
        }
        if total > first {
            let no_frame = frame.doubt / (1.0 - frame.doubt).max(1e-9);
            if !self.append(soft, total - first, no_frame, frame) {
                return false;
            }
        }
        frame.bytes[0] = (frame.len - 1) as u8;
        frame.bytes[0] >= MIN_LENGTH
    }
}

/// Returns the bytes on the air of a frame with this length field; `None` if no frame has it.
pub(super) fn air_bytes(format: Format, length: u8) -> Option<usize> {
    if length < MIN_LENGTH {
        return None;
    }
    let total = usize::from(length) + 1;
    match format {
        Format::A => Some(total + CRC_LEN * (1 + (total - HEADER).div_ceil(DATA))),
        Format::B => {
            let crcs = if total > FIRST_B { 2 } else { 1 };
            let has_room = total > HEADER + crcs * CRC_LEN && (crcs == 1 || total > FIRST_B + CRC_LEN);
            has_room.then_some(total)
        }
    }
}

/// Calls `attempt` with the length fields that are likeliest until one is right.
pub(super) fn likeliest_lengths(soft: Soft, mut attempt: impl FnMut(u8) -> bool) {
    let mut length = 0;
    // The least reliable bits.
    let mut unsure = [(f32::INFINITY, 0u8); 2];
    let (per_byte, bits) = (soft.coding.words_per_byte(), soft.coding.word_bits());
    for i in 0..per_byte {
        let (best, all) = soft.word(i);
        length |= best << (8 - bits - i * bits);
        if bits == 1 {
            let cost = all[usize::from(best)] - all[usize::from(best ^ 1)];
            let bit = (cost, 1 << (7 - i));
            if cost < unsure[0].0 {
                unsure = [bit, unsure[0]];
            } else if cost < unsure[1].0 {
                unsure[1] = bit;
            }
        }
    }
    for change in [0, unsure[0].1, unsure[1].1, unsure[0].1 | unsure[1].1] {
        if attempt(length ^ change) {
            return;
        }
    }
}
