//! Data notification: the message with which meters push their values (DLMS UA 1000-2, 9.5).

use super::data::{Data, DataError, Reader};

/// Tag of a data notification, its first byte.
pub const NOTIFICATION: u8 = 0x0F;
/// Bytes of the tag and of the invoke id and priority.
const HEADER: usize = 5;

/// Data notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Date-time at which it was sent: twelve octets, or none.
    pub date_time: Vec<u8>,
    /// Body.
    pub data: Data,
}

/// Error for bytes that are not a data notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// The first byte is another tag.
    #[error("expected a data notification (0F), found a message that begins with {0:02X}")]
    Tag(u8),
    /// There are no bytes.
    #[error("an empty message")]
    Empty,
    /// The body is malformed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Bytes follow the body.
    #[error("{0} bytes behind the data")]
    Trailing(usize),
}

impl Notification {
    /// Decodes a whole message.
    ///
    /// # Errors
    /// [`Empty`](NotificationError::Empty), [`Tag`](NotificationError::Tag) for another kind of message,
    /// [`Data`](NotificationError::Data) if the body is malformed, and [`Trailing`](NotificationError::Trailing) if there
    /// are bytes behind it.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotificationError> {
        match bytes.first() {
            None => return Err(NotificationError::Empty),
            Some(&NOTIFICATION) => {}
            Some(&other) => return Err(NotificationError::Tag(other)),
        }
        let mut reader = Reader::new(bytes, HEADER);
        let mut len = reader.take(1)?[0];
        // Kaifa meters in Norway write the tag of an octet string (09) in front of the length.
        if len == 9 {
            len = reader.take(1)?[0];
        }
        let date_time = reader.take(len.into())?.to_vec();
        let data = reader.value()?;
        match bytes.len() - reader.at() {
            0 => Ok(Notification { date_time, data }),
            more => Err(NotificationError::Trailing(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_may_have_a_tag_and_nothing_may_follow_the_body() {
        let plain = [0x0F, 0, 0, 0, 0, 0, 0x00];
        assert_eq!(Notification::parse(&plain).unwrap().data, Data::Null);
        let with_tag = [0x0F, 0, 0, 0, 0, 9, 2, 7, 8, 0x16, 30];
        let notification = Notification::parse(&with_tag).unwrap();
        assert_eq!(
            (notification.date_time, notification.data),
            (vec![7, 8], Data::Enum(30))
        );
        let trailing = [&plain[..], &[1, 2]].concat();
        assert_eq!(
            Notification::parse(&trailing),
            Err(NotificationError::Trailing(2))
        );
        assert_eq!(Notification::parse(&[0xE6]), Err(NotificationError::Tag(0xE6)));
        assert_eq!(Notification::parse(&[]), Err(NotificationError::Empty));
        let cut = Err(NotificationError::Data(DataError::Truncated(4)));
        assert_eq!(Notification::parse(&plain[..4]), cut);
    }
}
