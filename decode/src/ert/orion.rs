//! Badger Orion, of two generations. Both count in units of the register, which they do not tell: 1 gallon, or a part of one.
//!
//! ```text
//!  Orion           id (3) │ flags │ consumption (3) │ status
//!  Orion endpoint  14 │ ? (4) │ id (4) │ ? │ flags │ ? │ consumption (4) │ that of the day (4) │ status
//! ```
//!
//! Numbers of several bytes begin with the lowest. Bit 5 of the flags of an endpoint is a leak; what the others mean is not known.

use super::error::ErtError;
use super::{array, le};
use serde::Serialize;

/// Bytes between sync word and check.
const ORION: usize = 8;
const ENDPOINT: usize = 21;
/// Length field of an endpoint: the bytes behind it.
const LENGTH: u8 = 0x14;

/// Message of a Badger Orion (GIF2002A, GIF2006B).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Orion {
    /// Id of the meter, 24 bits: the number printed on it, or its last seven digits.
    #[serde(rename = "ID")]
    pub id: u32,
    /// Flags whose meaning is not known.
    #[serde(rename = "Flags")]
    pub flags: u8,
    /// Counter, 24 bits; gallons if the register shows gallons.
    #[serde(rename = "Consumption")]
    pub consumption: u32,
    /// More flags whose meaning is not known.
    #[serde(rename = "Status")]
    pub status: u8,
}

impl Orion {
    /// Decodes a frame of 8 bytes, without its check.
    ///
    /// # Errors
    /// [`ErtError`] for another length or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, ErtError> {
        let [a, b, c, flags, x, y, z, status] = array::<ORION>(frame)?;
        let id = le(&[a, b, c]);
        if id == 0 {
            return Err(ErtError::IdZero);
        }
        Ok(Orion {
            id,
            flags,
            consumption: le(&[x, y, z]),
            status,
        })
    }

    /// Returns the frame, without its check.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = self.id.to_le_bytes()[..3].to_vec();
        frame.push(self.flags);
        frame.extend(&self.consumption.to_le_bytes()[..3]);
        frame.push(self.status);
        frame
    }
}

/// Message of a Badger Orion endpoint (GIF2014W, GIF2020).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrionEndpoint {
    /// Id of the meter.
    #[serde(rename = "ID")]
    pub id: u32,
    /// Four bytes before the id; 0 in all that were published.
    #[serde(rename = "Unkn1")]
    pub unkn1: u32,
    /// Flags, 24 bits; see [`has_leak`](OrionEndpoint::has_leak).
    #[serde(rename = "Flags")]
    pub flags: u32,
    /// Counter.
    #[serde(rename = "Consumption")]
    pub consumption: u32,
    /// Counter at one time of the day; 0 in some models.
    #[serde(rename = "DailyConsumption")]
    pub daily_consumption: u32,
    /// Last byte; 0x10 in all that were published.
    #[serde(rename = "Status")]
    pub status: u8,
}

impl OrionEndpoint {
    /// Decodes a frame of 21 bytes, without its check.
    ///
    /// # Errors
    /// [`ErtError`] for another length, also in the length field, or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, ErtError> {
        let bytes = array::<ENDPOINT>(frame)?;
        if bytes[0] != LENGTH {
            return Err(ErtError::Length(usize::from(bytes[0]) + 1));
        }
        let id = le(&bytes[5..9]);
        if id == 0 {
            return Err(ErtError::IdZero);
        }
        Ok(OrionEndpoint {
            id,
            unkn1: le(&bytes[1..5]),
            flags: u32::from_be_bytes([0, bytes[9], bytes[10], bytes[11]]),
            consumption: le(&bytes[12..16]),
            daily_consumption: le(&bytes[16..20]),
            status: bytes[20],
        })
    }

    /// Returns the frame, without its check.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = vec![LENGTH];
        frame.extend(self.unkn1.to_le_bytes());
        frame.extend(self.id.to_le_bytes());
        frame.extend(&self.flags.to_be_bytes()[1..]);
        frame.extend(self.consumption.to_le_bytes());
        frame.extend(self.daily_consumption.to_le_bytes());
        frame.push(self.status);
        frame
    }

    /// Returns whether the meter reports a leak.
    pub fn has_leak(&self) -> bool {
        self.flags & 0x2000 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_a_frame_of_an_endpoint_then_its_fields_come_out() {
        let frame = [
            0x14, 0, 0, 0, 0, 0x4E, 0x61, 0xBC, 0x00, 0x01, 0x02, 0x03, 0xCD, 0x81, 0x01, 0, 0x8C, 0x81,
            0x01, 0, 0x10,
        ];
        let message = OrionEndpoint::parse(&frame).unwrap();
        assert_eq!(
            message,
            OrionEndpoint {
                id: 12_345_678,
                unkn1: 0,
                flags: 0x01_0203,
                consumption: 98_765,
                daily_consumption: 98_700,
                status: 0x10,
            }
        );
        assert!(!message.has_leak());
        assert_eq!(message.encode(), frame);
        let mut leaking = frame;
        leaking[10] |= 0x20;
        assert!(OrionEndpoint::parse(&leaking).unwrap().has_leak());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            id in 1u32..1 << 24, flags: u8, consumption in 0u32..1 << 24, status: u8, of_day: u32, more_flags in 0u32..1 << 24, unkn1: u32,
        ) {
            let message = Orion { id, flags, consumption, status };
            let frame = message.encode();
            prop_assert_eq!(Orion::parse(&frame), Ok(message));
            let endpoint = OrionEndpoint { id: id << 7 | 1, unkn1, flags: more_flags, consumption: of_day, daily_consumption: of_day, status };
            let frame_of_endpoint = endpoint.encode();
            prop_assert_eq!(OrionEndpoint::parse(&frame_of_endpoint), Ok(endpoint));
            for len in (0..30).filter(|len| *len != frame.len() && *len != frame_of_endpoint.len()) {
                prop_assert_eq!(Orion::parse(&vec![1; len]), Err(ErtError::Length(len)));
                prop_assert_eq!(OrionEndpoint::parse(&vec![1; len]), Err(ErtError::Length(len)));
            }
        }
    }

    #[test]
    fn given_id_zero_or_another_length_field_then_it_is_refused() {
        assert_eq!(Orion::parse(&[0, 0, 0, 1, 1, 1, 1, 1]), Err(ErtError::IdZero));
        let mut frame = [0; ENDPOINT];
        assert_eq!(OrionEndpoint::parse(&frame), Err(ErtError::Length(1)));
        frame[0] = LENGTH;
        assert_eq!(OrionEndpoint::parse(&frame), Err(ErtError::IdZero));
    }
}
