//! DLMS/COSEM messages that meters push: a notification becomes objects, objects become a report.
//!
//! ```text
//!  0F │ number and priority (4) │ 0C date with time (12), or 00 │ one value
//! ```

mod clock;
mod data;
mod dialect;
mod objects;
mod report;
mod unit;

pub use data::{Data, NoData, Width};
pub use dialect::{List, Scales, Shape};
pub use objects::{Object, Objects};
pub use report::{Settings, report};

use data::Reader;

/// The first byte.
pub const NOTIFICATION: u8 = 0x0F;

/// A notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// When it was sent; twelve octets, or none.
    pub clock: Vec<u8>,
    /// What it says.
    pub data: Data,
}

/// Bytes that are no notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNotification {
    /// It begins with another byte.
    #[error("a message that begins with {0:02X} is no data notification (0F)")]
    Tag(u8),
    /// Nothing at all.
    #[error("an empty message")]
    Empty,
    /// The values are wrong.
    #[error(transparent)]
    Data(#[from] NoData),
    /// There is more than the value.
    #[error("{0} bytes behind the data")]
    Trailing(usize),
}

impl Notification {
    /// Reads a whole message.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoNotification> {
        match bytes.first() {
            None => return Err(NoNotification::Empty),
            Some(&NOTIFICATION) => {}
            Some(&other) => return Err(NoNotification::Tag(other)),
        }
        let mut reader = Reader::new(bytes, 5);
        let mut len = reader.take(1)?[0];
        // Kaifa in Norway writes the type of the octets, too.
        if len == 9 {
            len = reader.take(1)?[0];
        }
        let clock = reader.take(len.into())?.to_vec();
        let data = reader.value()?;
        match bytes.len() - reader.at() {
            0 => Ok(Notification { clock, data }),
            more => Err(NoNotification::Trailing(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Notification::parse(&bytes);
            if let Ok(notification) = Notification::parse(&[&[0x0F, 0, 0, 0, 0, 0], &bytes[..]].concat()) {
                let _ = report(&notification, None, &Settings::default());
            }
        }
    }
}
