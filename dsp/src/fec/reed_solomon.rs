//! Code of R900: Reed–Solomon over GF(32), 16 data and 5 parity symbols of five bits.
//!
//! Field: x^5 + x^2 + 1, α = 2. The word has 31 places: data 0..16, ten zeros, parity 26..31. Its roots are
//! α^29 … α^33, so any two wrong symbols can be corrected.

/// Data symbols of a word.
pub const DATA: usize = 16;
/// Parity symbols of a word.
pub const PARITY: usize = 5;
/// Symbols sent.
pub const SYMBOLS: usize = DATA + PARITY;
/// Exponent of the first root; the others follow.
const FIRST_ROOT: usize = 29;

/// α^i for i in 0..31.
const EXP: [u8; 31] = {
    let mut exp = [0; 31];
    let (mut i, mut x) = (0, 1u8);
    while i < 31 {
        exp[i] = x;
        x <<= 1;
        if x & 0x20 != 0 {
            x ^= 0x25;
        }
        i += 1;
    }
    exp
};

/// Exponent of a non-zero element.
const LOG: [u8; 32] = {
    let mut log = [0; 32];
    let mut i = 0;
    while i < 31 {
        log[EXP[i] as usize] = i as u8;
        i += 1;
    }
    log
};

/// Returns `a` times α^`exponent`.
fn scale(a: u8, exponent: usize) -> u8 {
    match a & 0x1F {
        0 => 0,
        a => EXP[(LOG[a as usize] as usize + exponent) % 31],
    }
}

/// Returns what the value `error` at symbol `index` (of the 21 sent) adds to the syndrome.
pub fn column(index: usize, error: u8) -> u32 {
    let place = if index < DATA { index } else { index + 10 };
    (0..PARITY).fold(0, |s, r| {
        s << 5 | u32::from(scale(error, (FIRST_ROOT + r) * (30 - place)))
    })
}

/// Returns the five syndromes in one number of 25 bits; zero for a code word.
pub fn syndrome(symbols: &[u8; SYMBOLS]) -> u32 {
    symbols
        .iter()
        .enumerate()
        .fold(0, |s, (i, &symbol)| s ^ column(i, symbol))
}

/// Returns the parity symbols of 16 data symbols.
pub fn parity(data: &[u8; DATA]) -> [u8; PARITY] {
    // x^5 + 28 x^4 + 19 x^3 + 19 x^2 + 28 x + 1 = the product of (x - α^29) … (x - α^33).
    const GENERATOR: [u8; PARITY] = [28, 19, 19, 28, 1];
    let mut rest = [0u8; PARITY];
    for &symbol in data.iter().chain(&[0; 10]) {
        let lead = symbol ^ rest[0];
        rest.rotate_left(1);
        rest[PARITY - 1] = 0;
        if lead != 0 {
            for (r, g) in rest.iter_mut().zip(GENERATOR) {
                *r ^= scale(g, LOG[lead as usize] as usize);
            }
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shift-and-add multiplication, the definition of the field.
    fn slow_product(mut a: u8, mut b: u8) -> u8 {
        let mut product = 0;
        while b != 0 {
            if b & 1 != 0 {
                product ^= a;
            }
            a <<= 1;
            if a & 0x20 != 0 {
                a ^= 0x25;
            }
            b >>= 1;
        }
        product
    }

    #[test]
    fn tables_agree_with_shift_and_add() {
        for a in 0..32u8 {
            for (exponent, power) in EXP.into_iter().enumerate() {
                assert_eq!(scale(a, exponent), slow_product(a, power));
            }
        }
    }

    #[test]
    fn a_known_word_is_a_code_word() {
        // R900 of id 1234567890 with consumption 8051500.
        let data = [9, 6, 11, 0, 5, 20, 21, 3, 16, 21, 29, 13, 22, 11, 0, 26];
        assert_eq!(parity(&data), [23, 20, 21, 26, 29]);
    }

    proptest! {
        #[test]
        fn parity_makes_code_words_and_columns_explain_errors(
            data in prop::array::uniform16(0u8..32), index in 0..SYMBOLS, error in 1u8..32,
        ) {
            let mut word = [0; SYMBOLS];
            word[..DATA].copy_from_slice(&data);
            word[DATA..].copy_from_slice(&parity(&data));
            prop_assert_eq!(syndrome(&word), 0);
            word[index] ^= error;
            prop_assert_eq!(syndrome(&word), column(index, error));
        }
    }
}
