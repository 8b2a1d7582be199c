//! Codes from bits to chips: three of six, Manchester, none (EN 13757-4, 6.4, 7.4 and 9.4).

/// Code of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Half a byte is six chips, three of them ones.
    ThreeOfSix,
    /// A bit is two chips: 1 = 01, 0 = 10.
    Manchester,
    /// A bit is a chip.
    Nrz,
}

/// Chips of the half bytes 0 to F; the first chip is the highest bit.
pub(super) const THREE_OF_SIX: [u8; 16] = [
    0b01_0110, 0b00_1101, 0b00_1110, 0b00_1011, 0b01_1100, 0b01_1001, 0b01_1010, 0b01_0011, 0b10_1100,
    0b10_0101, 0b10_0110, 0b10_0011, 0b11_0100, 0b11_0001, 0b11_0010, 0b10_1001,
];
const MANCHESTER: [u8; 2] = [0b10, 0b01];
const NRZ: [u8; 2] = [0, 1];

/// Words of a code.
pub(super) const MAX_WORDS: usize = 16;
/// Chips of a word.
pub(super) const MAX_WORD_CHIPS: usize = 6;

impl Coding {
    /// Returns the chips of each value.
    pub fn words(self) -> &'static [u8] {
        match self {
            Coding::ThreeOfSix => &THREE_OF_SIX,
            Coding::Manchester => &MANCHESTER,
            Coding::Nrz => &NRZ,
        }
    }

    /// Chips in a word.
    pub fn word_chips(self) -> usize {
        match self {
            Coding::ThreeOfSix => 6,
            Coding::Manchester => 2,
            Coding::Nrz => 1,
        }
    }

    /// Bits in a word.
    pub fn word_bits(self) -> usize {
        match self {
            Coding::ThreeOfSix => 4,
            Coding::Manchester | Coding::Nrz => 1,
        }
    }

    /// Words in a byte.
    pub fn words_per_byte(self) -> usize {
        8 / self.word_bits()
    }

    /// Chips in a byte.
    pub fn byte_chips(self) -> usize {
        self.words_per_byte() * self.word_chips()
    }

    /// Appends the chips of `byte`.
    #[cfg(feature = "synth")]
    pub fn encode(self, byte: u8, chips: &mut Vec<bool>) {
        let bits = self.word_bits();
        for i in (0..8 / bits).rev() {
            let word = self.words()[usize::from(byte >> (i * bits) & ((1 << bits) - 1))];
            chips.extend((0..self.word_chips()).rev().map(|chip| word >> chip & 1 == 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_three_of_six_are_sixteen_and_have_three_ones() {
        let mut words = THREE_OF_SIX.to_vec();
        assert!(words.iter().all(|word| word.count_ones() == 3));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 16);
    }
}
