//! Physical layer of the four frame families: preambles and lengths, no fields.
//!
//! All are on-off keying at 32 768 chips/s. A Manchester bit is two chips: 1 = on, off; 0 = off, on.

/// Chips per second of every protocol.
pub const CHIP_RATE_HZ: f64 = 32_768.0;

/// Frame family, as told apart by its preamble. IDM and NetIDM share a frame, as do R900 and R900BCD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Standard consumption message: 96 Manchester bits.
    Scm,
    /// SCM+: 128 Manchester bits.
    ScmPlus,
    /// Interval data message (IDM or NetIDM): 736 Manchester bits.
    Idm,
    /// Neptune R900: 32 Manchester bits of preamble, then 42 base-6 digits of four chips.
    R900,
}

/// The known bits that mark a frame on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    /// The bits, right-aligned, first on the air = most significant.
    pub bits: u32,
    /// Number of bits.
    pub len: usize,
    /// Bits of the frame before them.
    pub offset: usize,
}

impl Preamble {
    /// Returns bit `i` in the order of transmission.
    pub fn bit(self, i: usize) -> bool {
        self.bits >> (self.len - 1 - i) & 1 == 1
    }
}

impl Protocol {
    /// Every frame family.
    pub const ALL: [Protocol; 4] = [Protocol::Scm, Protocol::ScmPlus, Protocol::Idm, Protocol::R900];

    /// The longest frame, in chips: IDM.
    pub const MAX_CHIPS: usize = 736 * 2;

    /// Returns the bits to search for. For SCM+ and IDM this includes the fixed byte after the 16-bit sync word
    /// (0x1E protocol id, 0x1C packet type), which lengthens it from 16 to 24 bits.
    pub(crate) fn preamble(self) -> Preamble {
        let (bits, len, offset) = match self {
            Protocol::Scm => (0x1F_2A60, 21, 0),
            Protocol::ScmPlus => (0x16_A31E, 24, 0),
            Protocol::Idm => (0x16_A31C, 24, 16),
            Protocol::R900 => (0x0000_E564, 32, 0),
        };
        Preamble { bits, len, offset }
    }

    /// Returns the length of the whole frame on the air, in chips.
    pub fn chips(self) -> usize {
        match self {
            Protocol::Scm => 96 * 2,
            Protocol::ScmPlus => 128 * 2,
            Protocol::Idm => 736 * 2,
            Protocol::R900 => 32 * 2 + 42 * 4,
        }
    }

    /// Returns the number of bytes of the frame as a [`crate::Packet`] carries it. R900: 21 five-bit symbols, left-aligned.
    pub fn bytes(self) -> usize {
        match self {
            Protocol::Scm => 12,
            Protocol::ScmPlus => 16,
            Protocol::Idm => 92,
            Protocol::R900 => 14,
        }
    }
}
