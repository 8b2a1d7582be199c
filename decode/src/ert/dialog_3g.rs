//! Arad and Master Meter Dialog 3G.
//!
//! ```text
//!  flags │ id (3) │ suffix │ unit │ consumption (3) │ ? (2)
//! ```
//!
//! Numbers of several bytes begin with the lowest. Bit 5 of the flags is a leak. Suffix and unit together tell what is counted, as far as
//! their combinations are known.

use super::error::ErtError;
use super::{array, le};
use crate::unit::Unit;
use serde::Serialize;

/// Bytes between sync word and check.
const LEN: usize = 11;
/// Bit of a leak.
const LEAK: u8 = 0x20;

/// Message of a Dialog 3G.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dialog3g {
    /// Id of the meter, 24 bits: the serial number printed on it.
    #[serde(rename = "ID")]
    pub id: u32,
    /// Letter behind the serial number (ASCII), or 0.
    #[serde(rename = "Suffix")]
    pub suffix: u8,
    /// Unit of the counter; see [`unit`](Dialog3g::unit).
    #[serde(rename = "Unit")]
    pub unit_code: u8,
    /// Counter, 24 bits.
    #[serde(rename = "Consumption")]
    pub consumption: u32,
    /// Flags; see [`has_leak`](Dialog3g::has_leak).
    #[serde(rename = "Flags")]
    pub flags: u8,
    /// Last two bytes, whose meaning is not known.
    #[serde(rename = "Unkn1")]
    pub unkn1: u16,
}

impl Dialog3g {
    /// Decodes a frame of 11 bytes, without its check.
    ///
    /// # Errors
    /// [`ErtError`] for another length or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, ErtError> {
        let bytes = array::<LEN>(frame)?;
        let id = le(&bytes[1..4]);
        if id == 0 {
            return Err(ErtError::IdZero);
        }
        Ok(Dialog3g {
            id,
            suffix: bytes[4],
            unit_code: bytes[5],
            consumption: le(&bytes[6..9]),
            flags: bytes[0],
            unkn1: u16::from_be_bytes([bytes[9], bytes[10]]),
        })
    }

    /// Returns the frame, without its check.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = vec![self.flags];
        frame.extend(&self.id.to_le_bytes()[..3]);
        frame.extend([self.suffix, self.unit_code]);
        frame.extend(&self.consumption.to_le_bytes()[..3]);
        frame.extend(self.unkn1.to_be_bytes());
        frame
    }

    /// Returns whether the meter reports a leak.
    pub fn has_leak(&self) -> bool {
        self.flags & LEAK != 0
    }

    /// Returns the unit of the counter and the power of ten of one count; `None` if that is not known.
    pub fn unit(&self) -> Option<(Unit, i32)> {
        match (self.suffix, self.unit_code) {
            (0x00, 0x00 | 0x40) => Some((Unit::CubicMeter, -2)),
            (0x73, 0x00) => Some((Unit::CubicMeter, -1)),
            (0x27, 0x00) => Some((Unit::Gallon, -1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_a_frame_then_its_fields_come_out() {
        let frame = [0x4B, 0x15, 0xCD, 0x5B, 0x00, 0x40, 0x39, 0x30, 0, 0, 0x01];
        let message = Dialog3g::parse(&frame).unwrap();
        let expected = Dialog3g {
            id: 6_016_277,
            suffix: 0,
            unit_code: 0x40,
            consumption: 12_345,
            flags: 0x4B,
            unkn1: 0x0001,
        };
        assert_eq!(message, expected);
        assert!(!message.has_leak());
        assert_eq!(message.unit(), Some((Unit::CubicMeter, -2)));
        assert_eq!(message.encode(), frame);
        let leaking = Dialog3g {
            flags: 0x6B,
            suffix: 0x41,
            ..message
        };
        assert!(leaking.has_leak());
        assert_eq!(leaking.unit(), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            id in 1u32..1 << 24, suffix: u8, unit_code: u8, consumption in 0u32..1 << 24, flags: u8, unkn1: u16,
        ) {
            let message = Dialog3g { id, suffix, unit_code, consumption, flags, unkn1 };
            let frame = message.encode();
            prop_assert_eq!(Dialog3g::parse(&frame), Ok(message));
            prop_assert_eq!(Dialog3g::parse(&frame[..10]), Err(ErtError::Length(10)));
        }
    }

    #[test]
    fn given_id_zero_then_it_is_refused() {
        assert_eq!(
            Dialog3g::parse(&[1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]),
            Err(ErtError::IdZero)
        );
    }
}
