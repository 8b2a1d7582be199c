//! Families: what modes are on the air (EN 13757-4, tables 3 to 21; for America's see `fixed.rs`), as far as a receiver must
//! know it.

use super::coding::Coding;
use super::fixed::{self, Fixed};
use super::mode::{Format, Mode, Modes};
use super::segment::{Detection, Estimate};

/// Known chips before the first data chip, the tail of the preamble and the sync word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The last chip is the lowest bit.
    pub chips: u64,
    pub len: usize,
}

impl Known {
    /// Appends the lowest `len` bits of `sync` to `pairs` times the chips 01.
    const fn new(pairs: usize, sync: u64, len: usize) -> Self {
        let preamble = 0x5555_5555_5555_5555 & ((1u64 << (2 * pairs)) - 1);
        Known {
            chips: preamble << len | sync,
            len: 2 * pairs + len,
        }
    }

    /// Returns the chips of four bytes of Manchester.
    const fn manchester(word: u32) -> Self {
        let mut chips = 0;
        let mut bit = 32;
        while bit > 0 {
            bit -= 1;
            chips = chips << 2 | if word >> bit & 1 == 1 { 0b01 } else { 0b10 };
        }
        Known { chips, len: 64 }
    }

    /// Returns +1 for a chip on the upper tone, -1 otherwise.
    pub fn sign(&self, i: usize) -> f32 {
        if self.chips >> (self.len - 1 - i) & 1 == 1 {
            1.0
        } else {
            -1.0
        }
    }

    /// Returns the last `len` chips.
    pub fn tail(&self, len: usize) -> Known {
        let len = len.min(self.len);
        Known {
            // Known chips may fill all 64 bits.
            chips: self.chips & u64::MAX.checked_shr(64 - len as u32).unwrap_or(0),
            len,
        }
    }
}

/// What may follow the known chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Words of one code in one format.
    Plain(Mode, Coding, Format),
    /// A 16-bit word that announces mode C and its format, or the first words of mode T.
    TOrC,
    /// A 16-bit word that announces the format of mode C's downlink.
    C2,
    /// A frame whose length is known.
    Fixed(Fixed),
}

/// Modes that share chip rate and sync word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Family {
    pub modes: Modes,
    pub chip_rate_hz: f64,
    /// Greatest error of the chip rate.
    pub rate_tolerance: f64,
    /// Nominal deviation, and the greatest.
    pub deviation_hz: [f64; 2],
    pub known: Known,
    pub payload: Payload,
    /// Tried where nothing else was found.
    pub is_quirk: bool,
    /// Sent in channels of 12.5 to 60 kHz, and therefore searched with another resolution.
    pub is_narrow: bool,
}

impl Family {
    /// Returns the estimate of a detection that fits this family.
    pub fn estimate(&self, detection: &Detection) -> Estimate {
        if self.deviation_hz[0] > self.chip_rate_hz {
            detection.lobes
        } else {
            detection.moments
        }
    }

    /// Returns the deviation to begin with where the search has found `found_hz`, and how far it may be wrong.
    pub fn first_deviation_hz(&self, found_hz: f64) -> (f64, f64) {
        let [nominal, greatest] = self.deviation_hz;
        if self.chip_rate_hz > nominal {
            // The lobes of the tones overlap, and the search cannot tell them; but a wrong deviation costs little.
            return (
                found_hz.clamp(0.9 * nominal, 1.3 * nominal),
                0.25 * self.chip_rate_hz,
            );
        }
        (
            found_hz.clamp(0.8 * nominal, greatest),
            (0.2 * self.chip_rate_hz).max(0.15 * nominal),
        )
    }
}

/// Chips 0101 0100 0011 1101, of which the last ten are the sync word.
const SYNC_TC: u64 = 0b00_0011_1101;
/// Eighteen chips, shared by the modes S and R.
const SYNC_SR: u64 = 0b00_0111_0110_1001_0110;
/// Modes N and F, formats A and B.
const SYNC_NF: [u64; 2] = [0xF68D, 0xF672];

/// Word after the sync word of mode C, by format.
pub(super) const C_FORMATS: [(u64, Format); 2] = [(0x54CD, Format::A), (0x543D, Format::B)];

const fn nf(modes: Modes, mode: Mode, rate: f64, deviation_hz: [f64; 2], b: bool) -> Family {
    // The preamble of mode N has sixteen chips, that of F2 at least 78.
    let (sync, format) = if b {
        (SYNC_NF[1], Format::B)
    } else {
        (SYNC_NF[0], Format::A)
    };
    Family {
        modes,
        chip_rate_hz: rate,
        rate_tolerance: 0.002,
        deviation_hz,
        known: Known::new(8, sync, 16),
        payload: Payload::Plain(mode, Coding::Nrz, format),
        is_quirk: false,
        is_narrow: true,
    }
}

/// Modes T and C.
const TC: Family = Family {
    modes: Modes(1 | 2),
    chip_rate_hz: 100e3,
    rate_tolerance: 0.11,
    deviation_hz: [50e3, 80e3],
    known: Known::new(19, SYNC_TC, 10),
    payload: Payload::TOrC,
    is_quirk: false,
    is_narrow: false,
};

/// Deviations are not published: what is given is a guess by chip rate and spectrum, and the search measures.
const fn american(
    modes: Modes,
    chip_rate_hz: f64,
    deviation_hz: [f64; 2],
    known: Known,
    fixed: Fixed,
) -> Family {
    Family {
        modes,
        chip_rate_hz,
        rate_tolerance: 0.01,
        deviation_hz,
        known,
        payload: Payload::Fixed(fixed),
        is_quirk: false,
        is_narrow: false,
    }
}

/// Sync word EC62 EC62 behind the last chip of the preamble, which is 0.
const ORION_ENDPOINT: Known = Known::new(7, 0xEC62_EC62, 33);
/// Sync word FE B1 00, likewise.
const HOT_ROD: Known = Known::new(8, 0xFE_B100, 25);
/// Chips of the last four bytes of the sync word, 0A EC 7A C8.
const DIALOG_3G: Known = Known::manchester(0x0AEC_7AC8);

/// Every family.
pub(super) const FAMILIES: [Family; 16] = [
    TC,
    // Some meters (Engelmann SensoStar) send one more 0 between preamble and sync word.
    Family {
        modes: Modes::T,
        known: Known::new(19, SYNC_TC, 11),
        is_quirk: true,
        ..TC
    },
    Family {
        modes: Modes::S,
        chip_rate_hz: 32_768.0,
        rate_tolerance: 0.025,
        deviation_hz: [50e3, 80e3],
        known: Known::new(15, SYNC_SR, 18),
        payload: Payload::Plain(Mode::S1, Coding::Manchester, Format::A),
        is_quirk: false,
        is_narrow: false,
    },
    Family {
        modes: Modes::C2,
        chip_rate_hz: 50e3,
        rate_tolerance: 0.002,
        deviation_hz: [25e3, 35e3],
        known: Known::new(19, SYNC_TC, 10),
        payload: Payload::C2,
        is_quirk: false,
        is_narrow: false,
    },
    Family {
        modes: Modes::R2,
        chip_rate_hz: 4800.0,
        rate_tolerance: 0.02,
        deviation_hz: [6e3, 7.5e3],
        known: Known::new(15, SYNC_SR, 18),
        payload: Payload::Plain(Mode::R2, Coding::Manchester, Format::A),
        is_quirk: false,
        is_narrow: true,
    },
    nf(Modes::N, Mode::N1, 4800.0, [2.4e3, 3.2e3], false),
    nf(Modes::N, Mode::N1, 4800.0, [2.4e3, 3.2e3], true),
    nf(Modes::N, Mode::N1, 2400.0, [2.4e3, 3.2e3], false),
    nf(Modes::N, Mode::N1, 2400.0, [2.4e3, 3.2e3], true),
    nf(Modes::F2, Mode::F2, 2400.0, [5.5e3, 7.2e3], false),
    nf(Modes::F2, Mode::F2, 2400.0, [5.5e3, 7.2e3], true),
    american(
        Modes::ORION,
        100e3,
        [70e3, 100e3],
        Known::new(11, SYNC_TC, 10),
        fixed::ORION,
    ),
    american(
        Modes::ORION,
        100e3,
        [50e3, 70e3],
        ORION_ENDPOINT,
        fixed::ORION_ENDPOINT,
    ),
    american(
        Modes::ORION,
        200e3,
        [80e3, 110e3],
        ORION_ENDPOINT,
        fixed::ORION_ENDPOINT,
    ),
    american(Modes::HOT_ROD, 38.4e3, [30e3, 45e3], HOT_ROD, fixed::HOT_ROD),
    american(Modes::DIALOG_3G, 119e3, [60e3, 90e3], DIALOG_3G, fixed::DIALOG_3G),
];
