//! Big-endian bit fields.

/// `len` (≤ 32) bits of `bytes` from bit `from`, most significant first.
pub fn get(bytes: &[u8], from: usize, len: usize) -> u32 {
    (from..from + len).fold(0, |value, i| {
        value << 1 | u32::from(bytes[i / 8] >> (7 - i % 8) & 1)
    })
}

/// Writes the low `len` bits of `value` at bit `from`.
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
