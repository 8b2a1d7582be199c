//! Big-endian bit fields.

/// Returns `len` (≤ 32) bits of `bytes` from bit `from` on, most significant first.
pub fn get(bytes: &[u8], from: usize, len: usize) -> u32 {
    (from..from + len).fold(0, |value, i| {
        value << 1 | u32::from(bytes[i / 8] >> (7 - i % 8) & 1)
    })
}

/// Writes the low `len` (≤ 32) bits of `value` from bit `from` on.
pub fn put(bytes: &mut [u8], from: usize, len: usize, value: u32) {
    for i in 0..len {
        let (byte, mask) = ((from + i) / 8, 0x80 >> ((from + i) % 8));
        if value >> (len - 1 - i) & 1 == 1 {
            bytes[byte] |= mask;
        } else {
            bytes[byte] &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else_is_touched(mut bytes: [u8; 8], from in 0usize..32, len in 0usize..=32, value: u32) {
            let before = u64::from_be_bytes(bytes);
            put(&mut bytes, from, len, value);
            let mask = u32::try_from((1u64 << len) - 1).unwrap();
            prop_assert_eq!(get(&bytes, from, len), value & mask);
            // Shifted in 128 bits: an empty field at bit 0 would be shifted by all 64.
            let field = u64::try_from(u128::from(mask) << (64 - from - len)).unwrap();
            prop_assert_eq!(u64::from_be_bytes(bytes) & !field, before & !field);
        }
    }
}
