//! Polling of a Kamstrup meter through its optical eye. Every answer drains the battery, so nothing is asked twice that never
//! changes.

use crate::port::kmp::{KmpError, report};
use crate::port::transaction::{Disconnected, Transaction};
use metertap_decode::framing::kmp::{Frame, HEAT_METER, NoKmp, request};
use metertap_decode::kamstrup::{
    Answer, GET_REGISTERS, GET_SERIAL, GET_TYPE, MAX_REGISTERS, NoAnswer, fields,
};
use metertap_decode::report::{Report, Value};

/// Attempts of one request.
const ATTEMPTS: usize = 3;

/// Failed reading of the meter.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The connection was lost.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// No answer came.
    #[error("no answer: is the head on the meter's eye, and the meter awake (press a button)?")]
    Silent,
    /// The answer could not be decoded.
    #[error(transparent)]
    Wrong(#[from] KmpError),
    /// The answer is to another request.
    #[error("an answer to something else: {0}")]
    Other(String),
}

impl PollError {
    /// Name of the counter that the error increments.
    pub fn kind(&self) -> &'static str {
        match self {
            PollError::Disconnected(_) => "gone",
            PollError::Silent => "silent",
            PollError::Wrong(_) => "wrong_check",
            PollError::Other(_) => "other_answer",
        }
    }
}

/// Facts that are asked once: they never change.
#[derive(Clone, Debug, Default)]
pub struct KnownMeter {
    serial: Option<u32>,
    kind: Option<(String, String)>,
}

/// Reads `registers` of the meter; registers that it does not have are left out.
///
/// # Errors
/// Returns an error if the connection is lost, if the meter does not answer, or if it has none of the registers.
pub async fn read(
    transaction: &mut Transaction<'_>,
    registers: &[u16],
    known: &mut KnownMeter,
) -> Result<Report, PollError> {
    if known.serial.is_none() {
        if let Answer::Serial(serial) = ask(transaction, GET_SERIAL, &[]).await? {
            known.serial = Some(serial);
        }
    }
    if known.kind.is_none() {
        if let Ok(Answer::Type(kind, revision)) = ask(transaction, GET_TYPE, &[]).await {
            known.kind = Some((kind, revision));
        }
    }
    let mut found = Vec::new();
    for some in registers.chunks(MAX_REGISTERS) {
        let mut data = vec![some.len() as u8];
        data.extend(some.iter().flat_map(|number| number.to_be_bytes()));
        match ask(transaction, GET_REGISTERS, &data).await {
            Ok(Answer::Registers(answered)) => {
                if let Some(other) = answered.iter().find(|register| !some.contains(&register.number)) {
                    return Err(PollError::Other(format!(
                        "register {} was not asked for",
                        other.number
                    )));
                }
                found.extend(answered);
            }
            // The meter has none of these, but may have those of the next request.
            Err(PollError::Wrong(KmpError::Answer(NoAnswer::Nothing))) => {}
            Ok(_) => return Err(PollError::Other("no registers".into())),
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        return Err(KmpError::from(NoAnswer::Nothing).into());
    }
    let mut reading = fields(&found);
    if let Some((kind, revision)) = &known.kind {
        reading.put("meter_type", Value::Text(kind.clone()));
        reading.put("software_revision", Value::Text(revision.clone()));
    }
    Ok(report(
        known.serial.map_or_else(String::new, |serial| serial.to_string()),
        reading,
    ))
}

async fn ask(transaction: &mut Transaction<'_>, command: u8, data: &[u8]) -> Result<Answer, PollError> {
    let request = request(command, data);
    let is_whole =
        |bytes: &[u8]| matches!(Frame::find(bytes), Some((found, _)) if !matches!(found, Err(NoKmp::Cut(_))));
    let mut last = PollError::Silent;
    for _ in 0..ATTEMPTS {
        let bytes = transaction.ask(&request, is_whole).await?;
        let frame = match Frame::find(&bytes) {
            None => continue,
            Some((Err(wrong), _)) => {
                last = KmpError::from(wrong).into();
                continue;
            }
            Some((Ok(frame), _)) => frame,
        };
        if (frame.destination, frame.command) != (HEAT_METER, command) {
            last = PollError::Other(format!("CID {:02X} of {:02X}", frame.command, frame.destination));
            continue;
        }
        return Ok(Answer::parse(command, &frame.data).map_err(KmpError::from)?);
    }
    Err(last)
}
