//! Wireless M-Bus (EN 13757-3, -4 and -7; OMS volume 2): telegrams of water, heat, gas and electricity meters, of heat cost
//! allocators and of other devices.
//!
//! ```text
//!  telegram, with or without CRCs
//!      │ link: formats A and B                  line: hexadecimal text, rtl_wmbus
//!      ▼
//!  layers  extended link layer │ authentication │ transport
//!      │ security: AES-CTR, modes 5 and 7 (keys, default keys, KEM files)
//!      ▼
//!  payload records │ compact frame │ manufacturer's own
//!      │ mbus::walk │ compact      │ makers
//!      ▼
//!  records ──▶ report: the names of wired M-Bus
//! ```
//!
//! [`Decoder::decode`] does all of it. A meter that no decoder knows shows every record under its generic name.
//! [`encode`] is the other half: it builds telegrams, and tests and simulators use it.

mod address;
mod compact;
mod crypto;
pub mod encode;
mod explain;
mod identifier;
pub mod imst;
pub mod kem;
mod keys;
mod layers;
pub mod line;
mod link;
mod makers;
mod report;
mod security;
mod telegram;
#[cfg(test)]
mod tests;

pub use crate::mbus::Part;
pub use address::Address;
pub use compact::{CompactError, Formats, MAX_LEARNED};
pub use explain::explain;
pub use keys::{DefaultKey, KeyRing};
pub use layers::{Afl, Content, Ell, Tpl};
pub use link::{Format, Link, LinkError, format_a, format_b, strip};
pub use report::report;
pub use security::{KeyOrigin, Scheme, Security};
pub use telegram::{Decoder, Problem, Telegram, TelegramError};
