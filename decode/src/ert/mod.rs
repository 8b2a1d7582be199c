//! Payloads of ERT and R900 radio meters: frames become messages.
//!
//! Names, order and JSON types of fields are those of rtlamr, whose lines are widely parsed. The layouts are drawn in the
//! modules and in `docs/protocols/ert.md` and `docs/protocols/r900.md`. Frames come from a receiver, which verifies their
//! checks; `metertap-dsp` is one.

mod bits;
mod commodity;
mod error;
mod idm;
mod kind;
mod message;
mod net_idm;
mod r900;
mod scm;
mod scm_plus;

pub use commodity::{Commodity, CommodityError};
pub use error::ErtError;
pub use idm::Idm;
pub use kind::{Kind, KindError};
pub use message::{Message, id_of};
pub use net_idm::{NetIdm, likely_kind};
pub use r900::{R900, R900Flags, bcd};
pub use scm::Scm;
pub use scm_plus::ScmPlus;
