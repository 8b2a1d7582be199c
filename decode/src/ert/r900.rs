//! R900, Neptune water: 80 data bits behind a Manchester preamble, and five parity symbols.
//!
//! ```text
//!  bit 0   32      40     46         48            72      74     78        80
//!  ├─ id ──┼ unkn1 ┼ nouse ┼ backflow ┼ consumption ┼ unkn3 ┼ leak ┼ leaknow ┤
//! ```

use super::{Refused, bits};
use metertap_dsp::{Protocol, fec};
use serde::Serialize;

/// Fields of an R900.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct R900 {
    /// Serial number of the transmitter.
    #[serde(rename = "ID")]
    pub id: u32,
    /// Unknown; depends on the model.
    pub unkn1: u8,
    /// Days without use, 6 bits.
    pub no_use: u8,
    /// Backflow in the last 35 days: 0 none, 1 low, 2 high.
    pub back_flow: u8,
    /// The counter, 24 bits.
    pub consumption: u32,
    /// Unknown, 2 bits.
    pub unkn3: u8,
    /// Days with a leak, 4 bits.
    pub leak: u8,
    /// Leak in the last 24 hours: 0 none, 1 intermittent, 2 continuous.
    pub leak_now: u8,
    /// The five parity symbols, 25 bits.
    #[serde(skip)]
    pub parity: u32,
}

impl R900 {
    /// Reads a frame of 14 bytes (105 bits).
    ///
    /// # Errors
    /// [`Refused`] for another length or meter id 0 (the all-zero word is a code word).
    pub fn parse(frame: &[u8]) -> Result<Self, Refused> {
        if frame.len() != Protocol::R900.bytes() {
            return Err(Refused::Length(frame.len()));
        }
        let field = |from, len| bits::get(frame, from, len);
        let id = field(0, 32);
        if id == 0 {
            return Err(Refused::IdZero);
        }
        Ok(R900 {
            id,
            unkn1: field(32, 8) as u8,
            no_use: field(40, 6) as u8,
            back_flow: field(46, 2) as u8,
            consumption: field(48, 24),
            unkn3: field(72, 2) as u8,
            leak: field(74, 4) as u8,
            leak_now: field(78, 2) as u8,
            parity: field(80, 25),
        })
    }

    /// The frame with fresh parity.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = vec![0; Protocol::R900.bytes()];
        bits::put(&mut frame, 0, 32, self.id);
        bits::put(&mut frame, 32, 8, self.unkn1.into());
        bits::put(&mut frame, 40, 6, self.no_use.into());
        bits::put(&mut frame, 46, 2, self.back_flow.into());
        bits::put(&mut frame, 48, 24, self.consumption);
        bits::put(&mut frame, 72, 2, self.unkn3.into());
        bits::put(&mut frame, 74, 4, self.leak.into());
        bits::put(&mut frame, 78, 2, self.leak_now.into());
        fec::encode(Protocol::R900, &mut frame);
        frame
    }
}

/// A 24-bit counter of six decimal digits; `None` if one is above 9.
pub fn bcd(counter: u32) -> Option<u32> {
    (0..6).rev().try_fold(0, |value, i| {
        let digit = counter >> (4 * i) & 0xF;
        (digit < 10).then_some(value * 10 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 21 symbols, PROTOCOLS-rf.md section 11.
    fn frame() -> Vec<u8> {
        let symbols = [
            9, 6, 11, 0, 5, 20, 21, 3, 16, 21, 29, 13, 22, 11, 0, 26, 23, 20, 21, 26, 29,
        ];
        let mut frame = vec![0; 14];
        for (i, symbol) in symbols.into_iter().enumerate() {
            bits::put(&mut frame, i * 5, 5, symbol);
        }
        frame
    }

    #[test]
    fn given_a_documented_frame_then_its_fields_come_out() {
        let message = R900::parse(&frame()).unwrap();
        assert_eq!(
            (message.id, message.unkn1, message.no_use),
            (1_234_567_890, 163, 33)
        );
        assert_eq!((message.back_flow, message.consumption), (1, 8_051_500));
        assert_eq!((message.unkn3, message.leak, message.leak_now), (0, 6, 2));
        assert_eq!(message.encode(), frame());
    }

    #[test]
    fn given_the_all_zero_word_then_it_is_refused() {
        assert_eq!(R900::parse(&[0; 14]), Err(Refused::IdZero));
    }

    #[test]
    fn bcd_reads_decimal_digits_and_nothing_else() {
        assert_eq!(bcd(1_193_046), Some(123_456));
        assert_eq!(bcd(8_051_500), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(mut frame in prop::collection::vec(any::<u8>(), 14)) {
            fec::encode(Protocol::R900, &mut frame);
            if let Ok(message) = R900::parse(&frame) {
                prop_assert_eq!(message.encode(), frame);
            }
        }
    }
}
