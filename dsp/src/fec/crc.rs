//! 16-bit cyclic checks: the BCH code of SCM, the CRC of SCM+ and IDM, that of wireless M-Bus.

/// A CRC-16, most significant bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc16 {
    /// Generator without its x^16 term.
    pub poly: u16,
    /// Register at the start.
    pub init: u16,
    /// XORed into the check before it is sent.
    pub xor_out: u16,
}

/// SCM's check over bytes 2..12: x^16 + 0x6F63, the generator of the primitive BCH(255,239) code.
/// Shortened to SCM's 80 bits its distance is 5.
pub const SCM: Crc16 = Crc16 {
    poly: 0x6F63,
    init: 0,
    xor_out: 0,
};

/// CRC-16/GENIBUS, used by SCM+ (bytes 2..16) and, twice, by IDM.
pub const GENIBUS: Crc16 = Crc16 {
    poly: 0x1021,
    init: 0xFFFF,
    xor_out: 0xFFFF,
};

/// CRC-16/EN-13757, of every block of wireless M-Bus (EN 13757-4, 12.2): complemented, high byte first.
pub const EN_13757: Crc16 = Crc16 {
    poly: 0x3D65,
    init: 0,
    xor_out: 0xFFFF,
};

impl Crc16 {
    /// Returns the check to append to `bytes`.
    pub fn check(self, bytes: &[u8]) -> u16 {
        self.run(self.init, bytes) ^ self.xor_out
    }

    /// Returns zero if and only if `bytes`, which end with their check, are a code word. Linear in errors: a
    /// flipped bit adds (XOR) its [`Crc16::column`].
    pub fn syndrome(self, bytes: &[u8]) -> u16 {
        self.run(self.init, bytes) ^ self.residue()
    }

    /// Returns what one flipped bit adds to the syndrome; `from_end` = 0 is the last bit of the check.
    /// This is x^(16 + from_end) modulo the generator, since the register multiplies by x^16.
    pub fn column(self, from_end: usize) -> u16 {
        (0..from_end).fold(self.poly, |register, _| self.step(register))
    }

    fn residue(self) -> u16 {
        // The register after a word whose check was sent inverted: the image of the inversion.
        self.run(0, &self.xor_out.to_be_bytes())
    }

    fn run(self, register: u16, bytes: &[u8]) -> u16 {
        bytes.iter().fold(register, |register, &byte| {
            (0..8).fold(register ^ u16::from(byte) << 8, |r, _| self.step(r))
        })
    }

    /// Multiplies by x.
    fn step(self, register: u16) -> u16 {
        let reduced = if register & 0x8000 != 0 { self.poly } else { 0 };
        register << 1 ^ reduced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Long division of the message polynomial, bit by bit, as on paper.
    fn paper_division(poly: u16, bits: &[u8]) -> u16 {
        let generator = 1u32 << 16 | u32::from(poly);
        let mut rest = bits.to_vec();
        rest.extend([0; 16]);
        for i in 0..bits.len() {
            if rest[i] == 1 {
                for j in 0..=16 {
                    rest[i + j] ^= (generator >> (16 - j) & 1) as u8;
                }
            }
        }
        rest[bits.len()..].iter().fold(0, |r, &b| r << 1 | u16::from(b))
    }

    proptest! {
        #[test]
        fn the_register_divides_as_one_does_on_paper(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).map(move |i| b >> (7 - i) & 1)).collect();
            prop_assert_eq!(SCM.check(&bytes), paper_division(SCM.poly, &bits));
        }

        #[test]
        fn a_flipped_bit_adds_its_column(mut bytes in prop::collection::vec(any::<u8>(), 2..40), at in any::<prop::sample::Index>()) {
            for code in [SCM, GENIBUS] {
                let before = code.syndrome(&bytes);
                let bit = at.index(bytes.len() * 8);
                bytes[bit / 8] ^= 0x80 >> (bit % 8);
                prop_assert_eq!(before ^ code.syndrome(&bytes), code.column(bytes.len() * 8 - 1 - bit));
            }
        }

        #[test]
        fn a_word_with_its_check_has_syndrome_zero(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for code in [SCM, GENIBUS] {
                let len = bytes.len();
                let check = code.check(&bytes);
                bytes.extend(check.to_be_bytes());
                prop_assert_eq!(code.syndrome(&bytes), 0);
                bytes.truncate(len);
            }
        }
    }

    #[test]
    fn genibus_leaves_the_documented_residue() {
        assert_eq!(GENIBUS.residue(), 0x1D0F);
        // The catalogue's check value.
        assert_eq!(GENIBUS.check(b"123456789"), 0xD64E);
    }

    #[test]
    fn scm_syndromes_of_up_to_two_errors_all_differ() {
        let columns: Vec<u16> = (0..80).map(|i| SCM.column(i)).collect();
        let mut seen = std::collections::HashSet::from([0]);
        for i in 0..80 {
            assert!(seen.insert(columns[i]));
            for j in 0..i {
                assert!(seen.insert(columns[i] ^ columns[j]));
            }
        }
    }
}
