//! Mueller Hot Rod, versions 1 and 2: decimal digits.
//!
//! ```text
//!  id (8 digits) │ consumption (7 digits) │ flags (4 bits)
//! ```

use super::error::ErtError;
use super::{array, digits};
use serde::Serialize;

/// Message of a Mueller Hot Rod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HotRod {
    /// Id of the meter, 8 digits.
    #[serde(rename = "ID")]
    pub id: u32,
    /// Counter, 7 digits; gallons if the register shows gallons.
    #[serde(rename = "Consumption")]
    pub consumption: u32,
    /// Flags whose meaning is not known, 4 bits.
    #[serde(rename = "Flags")]
    pub flags: u8,
}

impl HotRod {
    /// Decodes a frame of 8 bytes, without its check.
    ///
    /// # Errors
    /// [`ErtError`] for another length, meter id 0, and digits above 9. The check of eight bits lets one of 256 wrong frames through; of
    /// these, the digits refuse all but one in a thousand.
    pub fn parse(frame: &[u8]) -> Result<Self, ErtError> {
        let bytes = u64::from_be_bytes(array(frame)?);
        let id = digits((bytes >> 32) as u32, 8).ok_or(ErtError::NotBcd)?;
        if id == 0 {
            return Err(ErtError::IdZero);
        }
        Ok(HotRod {
            id,
            consumption: digits((bytes >> 4) as u32, 7).ok_or(ErtError::NotBcd)?,
            flags: bytes as u8 & 0x0F,
        })
    }

    /// Returns the frame, without its check.
    pub fn encode(&self) -> Vec<u8> {
        let bcd =
            |number: u32| (0..8).fold(0, |bcd, i| bcd | u64::from(number / 10u32.pow(i) % 10) << (4 * i));
        let bytes =
            bcd(self.id) << 32 | bcd(self.consumption % 10_000_000) << 4 | u64::from(self.flags & 0x0F);
        bytes.to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_a_frame_then_its_fields_come_out() {
        let frame = [0x12, 0x34, 0x56, 0x78, 0x00, 0x12, 0x34, 0x53];
        let message = HotRod::parse(&frame).unwrap();
        let expected = HotRod {
            id: 12_345_678,
            consumption: 12_345,
            flags: 3,
        };
        assert_eq!(message, expected);
        assert_eq!(message.encode(), frame);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(id in 1u32..100_000_000, consumption in 0u32..10_000_000, flags in 0u8..16, at in 0usize..15) {
            let message = HotRod { id, consumption, flags };
            let mut frame = message.encode();
            prop_assert_eq!(HotRod::parse(&frame), Ok(message));
            frame[at / 2] |= if at % 2 == 0 { 0xA0 } else { 0x0A };
            prop_assert_eq!(HotRod::parse(&frame), Err(ErtError::NotBcd));
            prop_assert_eq!(HotRod::parse(&frame[1..]), Err(ErtError::Length(7)));
        }
    }

    #[test]
    fn given_id_zero_then_it_is_refused() {
        assert_eq!(HotRod::parse(&[0, 0, 0, 0, 1, 2, 3, 4]), Err(ErtError::IdZero));
    }
}
