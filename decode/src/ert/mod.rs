//! Payloads of America's radio meters, ERT, R900, Orion, Hot Rod and Dialog 3G: frames become messages.
//!
//! Names, order and JSON types of fields are those of rtlamr, whose lines are widely parsed. The layouts are drawn in the
//! modules and in `docs/protocols/ert.md`, `r900.md` and `america-fsk.md`. Frames come from a receiver, which verifies their
//! checks; `metertap-dsp` is one.

mod bits;
mod commodity;
mod dialog_3g;
mod error;
mod hot_rod;
mod idm;
mod kind;
mod message;
mod net_idm;
mod orion;
mod r900;
mod scm;
mod scm_plus;

pub use commodity::{Commodity, CommodityError};
pub use dialog_3g::Dialog3g;
pub use error::ErtError;
pub use hot_rod::HotRod;
pub use idm::Idm;
pub use kind::{Kind, KindError};
pub use message::{Message, id_of};
pub use net_idm::{NetIdm, likely_kind};
pub use orion::{Orion, OrionEndpoint};
pub use r900::{R900, WaterFlags, bcd};
pub use scm::Scm;
pub use scm_plus::ScmPlus;

/// Returns a frame of `N` bytes.
fn array<const N: usize>(frame: &[u8]) -> Result<[u8; N], ErtError> {
    frame.try_into().map_err(|_| ErtError::Length(frame.len()))
}

/// Returns a number of at most four bytes, the lowest first.
fn le(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Decodes the last `count` decimal digits of `bcd`; `None` if one of them is above 9.
fn digits(bcd: u32, count: u32) -> Option<u32> {
    (0..count).rev().try_fold(0, |value, i| {
        let digit = bcd >> (4 * i) & 0xF;
        (digit < 10).then_some(value * 10 + digit)
    })
}
