//! R900, Neptune water: 80 data bits behind a Manchester preamble, and five parity symbols.
//!
//! ```text
//!  bit 0   32      40     46         48            72      74     78        80
//!  ├─ id ──┼ unkn1 ┼ nouse ┼ backflow ┼ consumption ┼ unkn3 ┼ leak ┼ leaknow ┤
//! ```
//!
//! The counter has 27 bits: `unkn3` and the top bit of `leak` continue `consumption` (rtlamr issue 99; rtl_433, `ert_r900.c`,
//! does the same). Meters without flags send all of `leak` and `leaknow` set (rtlamr issue 295); those bits count nothing.

use super::bits;
use super::error::ErtError;
use metertap_dsp::{Protocol, fec};
use serde::Serialize;

/// Fields of an R900.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct R900 {
    /// Id of the transmitter.
    #[serde(rename = "ID")]
    pub id: u32,
    /// Unknown; depends on the model.
    pub unkn1: u8,
    /// Days without use, 6 bits.
    pub no_use: u8,
    /// Backflow in the last 35 days: 0 none, 1 low, 2 high.
    pub back_flow: u8,
    /// Low 24 bits of the counter; see [`R900::counter`].
    pub consumption: u32,
    /// Bits 26 and 25 of the counter.
    pub unkn3: u8,
    /// Bit 24 of the counter, and 3 bits for the days with a leak.
    pub leak: u8,
    /// Leak in the last 24 hours: 0 none, 1 intermittent, 2 continuous; 3 if the meter has no flags.
    pub leak_now: u8,
    /// Five parity symbols of five bits as sent.
    #[serde(skip)]
    pub parity: u32,
}

/// Value of `leak_now` of meters without flags.
const NO_FLAGS: u8 = 3;
/// Counter of a meter without flags that could not read its register.
const NO_READING: u32 = 0xAA_AAAA;
/// Days of the last 35 by the lower three bits of `leak` and `no_use`.
const DAYS: [&str; 7] = ["0", "1-2", "3-7", "8-14", "15-21", "22-34", "35+"];

/// Flags of a water meter in words, here those of an R900; a member is `None` for a value without a known meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WaterFlags {
    /// Leak in the last 24 hours: `none`, `intermittent` (water in at least 50 of the 96 quarter hours) or `continuous`.
    /// Of other meters than R900, a leak at present: `none` or `detected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leak_now: Option<&'static str>,
    /// Days with a leak in the last 35, as a range: `0`, `1-2`, `3-7`, `8-14`, `15-21`, `22-34` or `35+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leak_days: Option<&'static str>,
    /// Backflow in the last 35 days: `none`, `low` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backflow: Option<&'static str>,
    /// Days without use in the last 35, as a range like `leak_days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_use_days: Option<&'static str>,
}

impl WaterFlags {
    /// Returns the flags of a meter that reports a leak and nothing else.
    pub(super) fn of_leak(has_leak: bool) -> Self {
        WaterFlags {
            leak_now: Some(if has_leak { "detected" } else { "none" }),
            ..WaterFlags::default()
        }
    }
}

impl R900 {
    /// Decodes a frame of 14 bytes (105 bits).
    ///
    /// # Errors
    /// [`ErtError`] for another length or meter id 0 (the all-zero word is a code word).
    pub fn parse(frame: &[u8]) -> Result<Self, ErtError> {
        if frame.len() != Protocol::R900.bytes() {
            return Err(ErtError::Length(frame.len()));
        }
        let field = |from, len| bits::get(frame, from, len);
        let id = field(0, 32);
        if id == 0 {
            return Err(ErtError::IdZero);
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

    /// Returns whether the meter reports leaks, backflow and days without use: `leak_now` has a defined value.
    pub fn has_flags(&self) -> bool {
        self.leak_now != NO_FLAGS
    }

    /// Returns the counter: 27 bits, or 24 bits of a meter without flags, whose upper bits are no part of it.
    pub fn counter(&self) -> u32 {
        if self.has_flags() {
            u32::from(self.unkn3 & 3) << 25 | u32::from(self.leak >> 3 & 1) << 24 | self.consumption
        } else {
            self.consumption
        }
    }

    /// Returns whether the transmitter has no reading of its register: a meter without flags that sends 0xAAAAAA
    /// (rtlamr issue 251).
    pub fn lacks_reading(&self) -> bool {
        !self.has_flags() && self.consumption == NO_READING
    }

    /// Returns leak, backflow and days without use in words; `None` of a meter without flags.
    pub fn flags(&self) -> Option<WaterFlags> {
        self.has_flags().then(|| WaterFlags {
            leak_now: ["none", "intermittent", "continuous"]
                .get(usize::from(self.leak_now))
                .copied(),
            leak_days: DAYS.get(usize::from(self.leak & 7)).copied(),
            backflow: ["none", "low", "high"].get(usize::from(self.back_flow)).copied(),
            no_use_days: DAYS.get(usize::from(self.no_use & 7)).copied(),
        })
    }

    /// Returns the frame with its parity.
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

/// Decodes a 24-bit counter of six decimal digits; `None` if one of them is above 9.
pub fn bcd(counter: u32) -> Option<u32> {
    super::digits(counter, 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The word of `docs/protocols/r900.md`, section "Reed–Solomon code": 21 symbols.
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
        assert_eq!(R900::parse(&[0; 14]), Err(ErtError::IdZero));
    }

    /// A meter with a counter and the fields above it.
    fn with(consumption: u32, unkn1: u8, unkn3: u8, leak: u8, leak_now: u8) -> R900 {
        R900 {
            unkn1,
            no_use: 33,
            back_flow: 1,
            consumption,
            unkn3,
            leak,
            leak_now,
            ..R900::parse(&frame()).unwrap()
        }
    }

    #[test]
    fn given_a_counter_beyond_24_bits_then_it_goes_on_in_the_next_three() {
        for (consumption, unkn3, leak, counter) in [
            (0xFF_FFFF, 0, 2, (1 << 24) - 1),
            (0, 0, 2 | 8, 1 << 24),
            (9, 1, 2, (1 << 25) + 9),
            (0xFF_FFFF, 3, 7 | 8, (1 << 27) - 1),
        ] {
            let message = with(consumption, 163, unkn3, leak, 0);
            assert_eq!(message.counter(), counter);
            let days = message.flags().unwrap().leak_days;
            assert_eq!(days, if leak & 7 == 2 { Some("3-7") } else { None });
        }
    }

    #[test]
    fn given_a_meter_without_flags_then_it_has_no_leak_and_its_counter_24_bits() {
        let message = with(201_013, 161, 3, 15, 3);
        assert_eq!(message.flags(), None);
        assert_eq!((message.counter(), message.lacks_reading()), (201_013, false));
        assert!(with(0xAA_AAAA, 161, 0, 15, 3).lacks_reading());
        assert!(
            !with(0xAA_AAAA, 163, 0, 1, 0).lacks_reading(),
            "a count like any other"
        );
    }

    #[test]
    fn flags_have_words() {
        let flags = with(1, 163, 0, 9, 2).flags().unwrap();
        let expected = WaterFlags {
            leak_now: Some("continuous"),
            leak_days: Some("1-2"),
            backflow: Some("low"),
            no_use_days: Some("1-2"),
        };
        assert_eq!(flags, expected);
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
