//! Polling and scanning of meters on a wired M-Bus (EN 13757-2: SND_NKE, selection, REQ_UD2).

use crate::port::mbus::{Answers, MbusError};
use crate::port::transaction::{Disconnected, Transaction};
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use metertap_decode::framing::mbus::{ACK, Frame, FrameError, long, short};
use metertap_decode::mbus::MessageError;
use metertap_decode::report::Report;
use std::fmt;
use std::str::FromStr;

/// Control field SND_NKE: initialization of the meter.
const SND_NKE: u8 = 0x40;
/// Control field REQ_UD2: request for data.
const REQ_UD2: u8 = 0x5B;
/// Frame count bit: toggled after each answer that was received, so a repeated request gets the same answer again.
const FCB: u8 = 0x20;
/// Control field SND_UD: data to the meter.
const SND_UD: u8 = 0x53;
/// Control information: selection by secondary address.
const SELECT: u8 = 0x52;
/// Primary address of the selected meter.
const SELECTED: u8 = 0xFD;
/// Attempts of one request.
const ATTEMPTS: usize = 3;
/// Frames of one answer at most.
const MAX_FRAMES: usize = 16;

/// Address of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Primary address such as `p5`, 1 to 250; 0 is that of an unconfigured meter.
    Primary(u8),
    /// Secondary address such as `12345678`, the number printed on the meter; F stands for any digit.
    Secondary([u8; 4]),
}

/// Text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid M-Bus address `{0}`: expected p5 for primary address 5, or the eight digits on the meter")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.into());
        if let Some(place) = text.strip_prefix('p') {
            let place = place.parse().map_err(|_| wrong())?;
            return if place <= 250 {
                Ok(Address::Primary(place))
            } else {
                Err(wrong())
            };
        }
        let digits = HEXUPPER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|octets| <[u8; 4]>::try_from(octets).ok());
        digits.map(Address::Secondary).ok_or_else(wrong)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Primary(place) => write!(f, "p{place}"),
            Address::Secondary(digits) => f.write_str(&HEXUPPER.encode(digits)),
        }
    }
}

/// Failed reading of a meter.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The connection was lost.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// No answer came.
    #[error("{0} does not answer")]
    Silent(Address),
    /// The answer could not be decoded.
    #[error("{0}: {1}")]
    Wrong(Address, MbusError),
    /// Another meter answered.
    #[error("expected an answer of {asked}, found one of {answered}")]
    Other {
        /// Address of the request.
        asked: Address,
        /// Address of the answer.
        answered: String,
    },
}

impl PollError {
    /// Name of the counter that the error increments.
    pub fn kind(&self) -> &'static str {
        match self {
            PollError::Disconnected(_) => "gone",
            PollError::Silent(_) => "silent",
            PollError::Wrong(_, MbusError::Message(MessageError::Error(_))) => "meter_error",
            PollError::Wrong(..) => "wrong_check",
            PollError::Other { .. } => "other_meter",
        }
    }
}

/// Reads the meter at `address`, all frames of its answer.
///
/// # Errors
/// Returns an error if the connection is lost, or if the meter does not answer, answers something else, or reports one.
pub async fn read(transaction: &mut Transaction<'_>, address: Address) -> Result<Report, PollError> {
    let place = match address {
        Address::Primary(place) => {
            // Some meters do not acknowledge this, but answer requests all the same.
            transaction.ask(&short(SND_NKE, place), is_frame).await?;
            place
        }
        Address::Secondary(digits) => {
            if !select(transaction, digits).await? {
                return Err(PollError::Silent(address));
            }
            SELECTED
        }
    };
    let mut answers = Answers::default();
    let mut fcb = FCB;
    for _ in 0..MAX_FRAMES {
        let bytes = request(transaction, REQ_UD2 | fcb, place, address).await?;
        let frame = Frame::parse(&bytes)
            .map_err(|wrong| PollError::Wrong(address, wrong.into()))?
            .0;
        let Frame::Long {
            information, data, ..
        } = frame
        else {
            return Err(PollError::Silent(address));
        };
        match answers.take(information, data) {
            Err(error) => return Err(PollError::Wrong(address, error.into())),
            Ok(None) => fcb ^= FCB,
            Ok(Some(report)) => return check_sender(address, report),
        }
    }
    answers
        .take_unfinished()
        .ok_or(PollError::Silent(address))
        .and_then(|report| check_sender(address, report))
}

/// Checks that the report comes from the meter that was asked.
fn check_sender(address: Address, report: Report) -> Result<Report, PollError> {
    let is_same = |wanted: String| {
        let pairs = wanted.chars().zip(report.id.chars());
        report.id.len() == wanted.len()
            && pairs
                .into_iter()
                .all(|(wanted, is)| wanted == 'F' || wanted == is)
    };
    match address {
        Address::Secondary(_) if !is_same(address.to_string()) => Err(PollError::Other {
            asked: address,
            answered: report.id.to_string(),
        }),
        _ => Ok(report),
    }
}

/// Sends a request until the meter's answer comes. The frame count bit stays the same, so the meter repeats its last answer.
async fn request(
    transaction: &mut Transaction<'_>,
    control: u8,
    place: u8,
    address: Address,
) -> Result<Vec<u8>, PollError> {
    let mut last = PollError::Silent(address);
    for _ in 0..ATTEMPTS {
        let bytes = transaction
            .ask(&short(control, place), |bytes| is_frame(answer(bytes, place).0))
            .await?;
        let (answer, other) = answer(&bytes, place);
        match Frame::parse(answer) {
            Ok(_) => return Ok(answer.to_vec()),
            Err(_) if answer.is_empty() => {
                if let Some(other) = other {
                    last = PollError::Other {
                        asked: address,
                        answered: format!("p{other}"),
                    };
                }
            }
            Err(wrong) => last = PollError::Wrong(address, wrong.into()),
        }
    }
    Err(last)
}

/// Returns the bytes from the answer of the meter at `place` on, and the address of another meter that answered before it. An
/// acknowledgment that came late, requests that an adapter echoes, and late answers of other meters are passed over.
fn answer(mut bytes: &[u8], place: u8) -> (&[u8], Option<u8>) {
    let mut other = None;
    loop {
        let len = match Frame::parse(bytes) {
            Ok((Frame::Ack | Frame::Short { .. }, len)) => len,
            // A selected meter answers from its own primary address.
            Ok((Frame::Long { address, .. }, len)) if place < SELECTED && address != place => {
                other = Some(address);
                len
            }
            _ => return (bytes, other),
        };
        bytes = &bytes[len..];
    }
}

/// Selects the meters whose number matches; returns true if one or several acknowledge.
async fn select(transaction: &mut Transaction<'_>, [d1, d2, d3, d4]: [u8; 4]) -> Result<bool, Disconnected> {
    transaction.ask(&short(SND_NKE, SELECTED), is_frame).await?;
    // Number in reversed byte order, then any manufacturer, version and medium.
    let pattern = [d4, d3, d2, d1, 0xFF, 0xFF, 0xFF, 0xFF];
    for _ in 0..ATTEMPTS {
        let answer = transaction
            .ask(&long(SND_UD, SELECTED, SELECT, &pattern), is_frame)
            .await?;
        if answer.contains(&ACK) {
            return Ok(true);
        }
        if answer.is_empty() {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Returns true if the bytes are complete, whether or not they are a valid frame.
fn is_frame(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !matches!(Frame::parse(bytes), Err(FrameError::Truncated(_)))
}

/// Reads every primary address, and hands what answers to `found`.
///
/// # Errors
/// Returns [`Disconnected`] if the connection is lost.
pub async fn scan_primary(
    transaction: &mut Transaction<'_>,
    mut found: impl FnMut(Address, Result<Report, PollError>),
) -> Result<(), Disconnected> {
    for place in 0..=250 {
        if transaction
            .ask(&short(SND_NKE, place), is_frame)
            .await?
            .is_empty()
        {
            continue;
        }
        match read(transaction, Address::Primary(place)).await {
            Err(PollError::Disconnected(gone)) => return Err(gone),
            answer => found(Address::Primary(place), answer),
        }
    }
    Ok(())
}

/// Searches the secondary addresses, digit by digit: while several meters answer to the same leading digits, one more digit
/// is given (EN 13757-3, wildcard search).
///
/// # Errors
/// Returns [`Disconnected`] if the connection is lost.
pub async fn scan_secondary(
    transaction: &mut Transaction<'_>,
    mut found: impl FnMut(Report),
) -> Result<(), Disconnected> {
    let mut masks: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(known) = masks.pop() {
        let mut digits = known.clone();
        digits.resize(8, 0xF);
        let octets: [u8; 4] = std::array::from_fn(|i| digits[2 * i] << 4 | digits[2 * i + 1]);
        if !select(transaction, octets).await? {
            continue;
        }
        match read(transaction, Address::Secondary(octets)).await {
            Err(PollError::Disconnected(gone)) => return Err(gone),
            Ok(report) => found(report),
            // Several meters answered at once, and their bytes collided.
            Err(_) if known.len() < 8 => {
                masks.extend((0..=9).rev().map(|digit| [&known[..], &[digit]].concat()));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["p0", "p5", "p250", "12345678", "1234FFFF"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for wrong in ["", "p", "p251", "5", "123456789", "1234567G"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn given_late_acknowledgments_echoes_and_other_meters_then_the_answer_is_behind_them() {
        let own = long(8, 1, 0x72, b"data");
        let other = long(8, 2, 0x72, b"data");
        for (before, passed_over) in [
            (Vec::new(), None),
            (vec![ACK], None),
            (short(REQ_UD2, 1).to_vec(), None),
            ([&[ACK], &short(REQ_UD2, 1)[..], &[ACK]].concat(), None),
            (other.clone(), Some(2)),
        ] {
            let bytes = [&before[..], &own].concat();
            assert_eq!(answer(&bytes, 1), (&own[..], passed_over));
            assert!(!is_frame(answer(&before, 1).0), "more may come: {before:02X?}");
        }
        assert_eq!(
            answer(&other, SELECTED).0,
            other,
            "a selected meter has an address of its own"
        );
    }
}
