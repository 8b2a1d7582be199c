//! Errors of frames.

/// Error for a frame whose check matches, but that is not a message. Noise produces such frames now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErtError {
    /// The frame has the wrong length for its type.
    #[error("{0} bytes are not a frame of this type")]
    Length(usize),
    /// The meter id is 0, which no meter has.
    #[error("meter id 0")]
    IdZero,
    /// A digit of a decimal number is above 9.
    #[error("a digit is above 9")]
    NotBcd,
}
