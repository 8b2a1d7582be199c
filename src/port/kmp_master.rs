//! Asks a Kamstrup meter through its optical eye: seldom, since every answer costs its battery.

use crate::port::kmp::{Trouble, report};
use crate::port::transaction::{Disconnected, Transaction};
use metertap_decode::framing::kmp::{Frame, HEAT_METER, KmpError, request};
use metertap_decode::kamstrup::{
    Answer, AnswerError, GET_REGISTERS, GET_SERIAL, GET_TYPE, MAX_REGISTERS, fields,
};
use metertap_decode::report::{Report, Value};

/// How often the same is asked.
const ATTEMPTS: usize = 3;

/// Why the meter was not read.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The line is gone.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// Nothing came.
    #[error("no answer: is the head on the meter's eye, and the meter awake (press a button)?")]
    Silent,
    /// What came is no answer.
    #[error(transparent)]
    Wrong(#[from] Trouble),
    /// It answers another question.
    #[error("an answer to something else: {0}")]
    Other(String),
}

impl PollError {
    /// One word for the counter.
    pub fn kind(&self) -> &'static str {
        match self {
            PollError::Disconnected(_) => "gone",
            PollError::Silent => "silent",
            PollError::Wrong(_) => "wrong_check",
            PollError::Other(_) => "other_answer",
        }
    }
}

/// What was learned of the meter when it was first asked.
#[derive(Clone, Debug, Default)]
pub struct Known {
    serial: Option<u32>,
    kind: Option<(String, String)>,
}

/// Reads `registers` of the meter.
///
/// # Errors
/// Why not.
pub async fn read(
    talk: &mut Transaction<'_>,
    registers: &[u16],
    known: &mut Known,
) -> Result<Report, PollError> {
    if known.serial.is_none() {
        if let Answer::Serial(serial) = ask(talk, GET_SERIAL, &[]).await? {
            known.serial = Some(serial);
        }
    }
    if known.kind.is_none() {
        if let Ok(Answer::Type(kind, revision)) = ask(talk, GET_TYPE, &[]).await {
            known.kind = Some((kind, revision));
        }
    }
    let mut found = Vec::new();
    for some in registers.chunks(MAX_REGISTERS) {
        let mut data = vec![some.len() as u8];
        data.extend(some.iter().flat_map(|number| number.to_be_bytes()));
        match ask(talk, GET_REGISTERS, &data).await {
            Ok(Answer::Registers(answered)) => {
                if let Some(other) = answered.iter().find(|register| !some.contains(&register.number)) {
                    return Err(PollError::Other(format!(
                        "register {} was not asked for",
                        other.number
                    )));
                }
                found.extend(answered);
            }
            // None of these; the others may be there.
            Err(PollError::Wrong(Trouble::Answer(AnswerError::NoRegister))) => {}
            Ok(_) => return Err(PollError::Other("no registers".into())),
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        return Err(Trouble::from(AnswerError::NoRegister).into());
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

async fn ask(talk: &mut Transaction<'_>, command: u8, data: &[u8]) -> Result<Answer, PollError> {
    let request = request(command, data);
    let is_whole = |bytes: &[u8]| matches!(Frame::find(bytes), Some((found, _)) if !matches!(found, Err(KmpError::Truncated(_))));
    let mut last = PollError::Silent;
    for _ in 0..ATTEMPTS {
        let bytes = talk.ask(&request, is_whole).await?;
        let frame = match Frame::find(&bytes) {
            None => continue,
            Some((Err(wrong), _)) => {
                last = Trouble::from(wrong).into();
                continue;
            }
            Some((Ok(frame), _)) => frame,
        };
        if (frame.destination, frame.command) != (HEAT_METER, command) {
            last = PollError::Other(format!("CID {:02X} of {:02X}", frame.command, frame.destination));
            continue;
        }
        return Ok(Answer::parse(command, &frame.data).map_err(Trouble::from)?);
    }
    Err(last)
}
