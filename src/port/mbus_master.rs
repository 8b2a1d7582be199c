//! Asks meters on an M-Bus (EN 13757-2: SND_NKE, select, REQ_UD2), and finds out which there are.

use crate::port::mbus::{Answers, Trouble};
use crate::port::transaction::{Disconnected, Transaction};
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use metertap_decode::framing::mbus::{ACK, Frame, MbusError, long, short};
use metertap_decode::mbus::MessageError;
use metertap_decode::report::Report;
use std::fmt;
use std::str::FromStr;

/// "Begin anew."
const SND_NKE: u8 = 0x40;
/// "Your data", and the bit that says whether the last answer has come.
const REQ_UD2: u8 = 0x5B;
const FCB: u8 = 0x20;
/// "Take this."
const SND_UD: u8 = 0x53;
/// CI: the meter with this number and no other.
const SELECT: u8 = 0x52;
/// Who was selected.
const SELECTED: u8 = 0xFD;
/// How often the same is asked.
const ATTEMPTS: usize = 3;
/// Frames of one answer.
const MAX_FRAMES: usize = 16;

/// Which meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// `p5`: where it is on the bus, 1 to 250 (0: a new one).
    Primary(u8),
    /// `12345678`: its number; F for any digit.
    Secondary([u8; 4]),
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no M-Bus address: write p5 for place 5 on the bus, or the eight digits on the meter")]
pub struct NoAddress(String);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let wrong = || NoAddress(text.into());
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

/// Why a meter was not read.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The line is gone.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// Nothing came.
    #[error("{0} does not answer")]
    Silent(Address),
    /// What came is no answer.
    #[error("{0}: {1}")]
    Wrong(Address, Trouble),
    /// Another meter answered.
    #[error("{asked} was asked, and {answered} answered")]
    Other {
        /// Who should have.
        asked: Address,
        /// Who did.
        answered: String,
    },
}

impl PollError {
    /// One word for the counter.
    pub fn kind(&self) -> &'static str {
        match self {
            PollError::Disconnected(_) => "gone",
            PollError::Silent(_) => "silent",
            PollError::Wrong(_, Trouble::Message(MessageError::Error(_))) => "meter_error",
            PollError::Wrong(..) => "wrong_check",
            PollError::Other { .. } => "other_meter",
        }
    }
}

/// Reads the meter at `address`.
///
/// # Errors
/// Why not.
pub async fn read(talk: &mut Transaction<'_>, address: Address) -> Result<Report, PollError> {
    let place = match address {
        Address::Primary(place) => {
            // Some meters do not confirm this, but answer all the same.
            talk.ask(&short(SND_NKE, place), is_frame).await?;
            place
        }
        Address::Secondary(digits) => {
            if !select(talk, digits).await? {
                return Err(PollError::Silent(address));
            }
            SELECTED
        }
    };
    let mut answers = Answers::default();
    let mut fcb = FCB;
    for _ in 0..MAX_FRAMES {
        let bytes = request(talk, REQ_UD2 | fcb, place, address).await?;
        let frame = Frame::parse(&bytes)
            .map_err(|wrong| PollError::Wrong(address, wrong.into()))?
            .0;
        let Frame::Long {
            address: from,
            information,
            data,
            ..
        } = frame
        else {
            return Err(PollError::Silent(address));
        };
        if let Address::Primary(place) = address {
            if from != place {
                return Err(PollError::Other {
                    asked: address,
                    answered: format!("p{from}"),
                });
            }
        }
        match answers.take(information, data) {
            Err(error) => return Err(PollError::Wrong(address, error.into())),
            Ok(None) => fcb ^= FCB,
            Ok(Some(report)) => return is_whom(address, report),
        }
    }
    answers
        .rest()
        .ok_or(PollError::Silent(address))
        .and_then(|report| is_whom(address, report))
}

/// Whether the report comes from the meter that was asked.
fn is_whom(address: Address, report: Report) -> Result<Report, PollError> {
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

/// Asks the same again until a frame comes that is whole: the meter then repeats its last answer.
async fn request(
    talk: &mut Transaction<'_>,
    control: u8,
    place: u8,
    address: Address,
) -> Result<Vec<u8>, PollError> {
    let mut last = PollError::Silent(address);
    for _ in 0..ATTEMPTS {
        let bytes = talk.ask(&short(control, place), is_frame).await?;
        // An adapter may echo the question.
        let bytes = bytes.strip_prefix(&short(control, place)).unwrap_or(&bytes);
        match Frame::parse(bytes) {
            Ok(_) => return Ok(bytes.to_vec()),
            Err(_) if bytes.is_empty() => {}
            Err(wrong) => last = PollError::Wrong(address, wrong.into()),
        }
    }
    Err(last)
}

/// Makes the meter with these digits the selected one; true if one or several say that they are.
async fn select(talk: &mut Transaction<'_>, [d1, d2, d3, d4]: [u8; 4]) -> Result<bool, Disconnected> {
    talk.ask(&short(SND_NKE, SELECTED), is_frame).await?;
    let anybody = [d4, d3, d2, d1, 0xFF, 0xFF, 0xFF, 0xFF];
    for _ in 0..ATTEMPTS {
        let answer = talk
            .ask(&long(SND_UD, SELECTED, SELECT, &anybody), is_frame)
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

/// Nothing is to be waited for any more.
fn is_frame(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !matches!(Frame::parse(bytes), Err(MbusError::Truncated(_)))
}

/// Looks at every place on the bus and tells who answers there.
///
/// # Errors
/// Where the line is gone.
pub async fn scan_places(
    talk: &mut Transaction<'_>,
    mut found: impl FnMut(Address, Result<Report, PollError>),
) -> Result<(), Disconnected> {
    for place in 0..=250 {
        if talk.ask(&short(SND_NKE, place), is_frame).await?.is_empty() {
            continue;
        }
        match read(talk, Address::Primary(place)).await {
            Err(PollError::Disconnected(gone)) => return Err(gone),
            answer => found(Address::Primary(place), answer),
        }
    }
    Ok(())
}

/// Looks for numbers, digit by digit: as long as several answer to the same digits, more of them are told.
///
/// # Errors
/// Where the line is gone.
pub async fn scan_numbers(
    talk: &mut Transaction<'_>,
    mut found: impl FnMut(Report),
) -> Result<(), Disconnected> {
    let mut masks: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(known) = masks.pop() {
        let mut digits = known.clone();
        digits.resize(8, 0xF);
        let octets: [u8; 4] = std::array::from_fn(|i| digits[2 * i] << 4 | digits[2 * i + 1]);
        if !select(talk, octets).await? {
            continue;
        }
        match read(talk, Address::Secondary(octets)).await {
            Err(PollError::Disconnected(gone)) => return Err(gone),
            Ok(report) => found(report),
            // Several at once are nothing that can be read.
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
}
