//! Readout of a meter by IEC 62056-21: request at 300 baud, change of speed, data.
//!
//! ```text
//!  reader   00 … │ /?!                        │ 06 0 Z 0          (mode C)
//!  meter              /XXXZ identification                02 data 03 BCC
//!  speed    300 ──────────────────────────────────────▶ that of Z
//! ```

use crate::port::iec::{IecError, MAX_READOUT, report};
use crate::port::transaction::Disconnected;
use crate::source::wire::{Line, Wire};
use metertap_decode::framing::iec::{Identification, Mode, REQUEST, Readout, ReadoutError, acknowledgement};
use metertap_decode::iec::{is_battery_powered, is_heat_meter};
use metertap_decode::report::Report;
use metertap_decode::time::Zone;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

/// Time for a meter to begin its answer (IEC 62056-21, 6.4.3: 1.5 s), and for a TCP bridge.
const REACTION: Duration = Duration::from_millis(2500);
/// Longest pause within an answer (1.5 s between two characters).
const PAUSE: Duration = Duration::from_millis(2000);
/// Longest readout: 10 000 bytes at 300 baud take 333 s.
const LONGEST: Duration = Duration::from_secs(360);
/// Pause between two attempts: a meter that read a malformed request waits for silence.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(1600);

/// Failed readout.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The connection was lost.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// No identification came.
    #[error(
        "no answer at 300 baud: is the head on the meter's eye the right way up, and the meter awake (press a button)?"
    )]
    Silent,
    /// An identification came, but no data.
    #[error("{0} identifies itself, but sends no data at {1} baud")]
    NoData(String, u32),
    /// The data could not be decoded.
    #[error(transparent)]
    Wrong(#[from] IecError),
}

impl PollError {
    /// Name of the counter that the error increments.
    pub fn kind(&self) -> &'static str {
        match self {
            PollError::Disconnected(_) => "gone",
            PollError::Silent => "silent",
            PollError::NoData(..) => "no_data",
            PollError::Wrong(IecError::Empty) => "empty",
            PollError::Wrong(_) => "wrong_check",
        }
    }
}

/// Sequence that wakes a meter before the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WakeUp {
    /// None: meters on mains are always awake.
    #[default]
    None,
    /// 40 NUL characters, and the request at once: Ultraheat.
    Short,
    /// NUL characters for 2.2 s, and a pause of 1.6 s (IEC 62056-21, annex B).
    Standard,
}

impl WakeUp {
    /// Number of NUL characters.
    fn nuls(self) -> usize {
        match self {
            WakeUp::None => 0,
            WakeUp::Short => 40,
            WakeUp::Standard => 66,
        }
    }
}

/// Properties that are learned from a meter's first answer.
#[derive(Clone, Debug, Default)]
pub struct KnownMeter {
    /// Sequence to which the meter answered.
    wake_up: Option<WakeUp>,
    /// No data came at the speed that the meter announced: it is asked to stay at 300 baud, which some heads need.
    is_slow: bool,
    /// The meter runs on a battery.
    pub is_battery_powered: bool,
}

/// Reads a meter once.
///
/// # Errors
/// Returns an error if the connection is lost, or if the meter does not answer or answers wrongly to every attempt.
pub async fn read(
    wire: &mut Wire,
    zone: &Zone,
    known: &mut KnownMeter,
) -> Result<(Readout, Report), PollError> {
    let attempts = match known.wake_up {
        Some(wake_up) => vec![wake_up; 2],
        None => vec![WakeUp::None, WakeUp::Short, WakeUp::Standard],
    };
    let mut last = PollError::Silent;
    for (attempt, wake_up) in attempts.into_iter().enumerate() {
        if attempt > 0 {
            sleep(BETWEEN_ATTEMPTS).await;
        }
        let answer = read_once(wire, wake_up, known).await;
        // The next request must go out at 300 baud, whatever became of this one.
        set_speed(wire, 300)?;
        let readout = match answer {
            Ok(readout) => readout,
            Err(PollError::Disconnected(gone)) => return Err(gone.into()),
            // A meter that was silent after it has answered before is more telling than the silence.
            Err(PollError::Silent) if attempt > 0 => continue,
            Err(error) => {
                if matches!(error, PollError::NoData(..)) {
                    known.is_slow = !known.is_slow;
                }
                last = error;
                continue;
            }
        };
        known.wake_up = Some(wake_up);
        known.is_battery_powered = is_heat_meter(&readout);
        let report = report(&readout, zone)?;
        return Ok((readout, report));
    }
    Err(last)
}

async fn read_once(wire: &mut Wire, wake_up: WakeUp, known: &mut KnownMeter) -> Result<Readout, PollError> {
    discard_late_bytes(wire).await?;
    if wake_up != WakeUp::None {
        send(wire, &vec![0; wake_up.nuls()], 300).await?;
    }
    if wake_up == WakeUp::Standard {
        sleep(Duration::from_millis(1600)).await;
        discard_late_bytes(wire).await?;
    }
    send(wire, REQUEST, 300).await?;
    let mut bytes = Vec::new();
    receive(wire, &mut bytes, |bytes| Identification::find(bytes).is_some()).await?;
    let Some((identification, _)) = Identification::find(&bytes) else {
        return Err(PollError::Silent);
    };
    known.is_battery_powered |= is_battery_powered(&identification);
    tracing::debug!(
        manufacturer = identification.manufacturer,
        model = identification.model,
        "Meter identified"
    );
    let speed = match identification.mode() {
        Mode::A => 300,
        Mode::B(speed) => {
            set_speed(wire, speed)?;
            speed
        }
        Mode::C(speed) => {
            // A TCP bridge cannot change its speed from here; a meter may be told to stay at 300 baud.
            let (character, speed) = match wire.control.is_some() && !known.is_slow {
                true => (identification.speed, speed),
                false => (b'0', 300),
            };
            // The meter allows 200 ms before the acknowledgement unless the third letter of the maker is small.
            sleep(Duration::from_millis(200)).await;
            send(wire, &acknowledgement(character), 300).await?;
            set_speed(wire, speed)?;
            speed
        }
    };
    // Data without a check are complete only if nothing follows them.
    let is_whole = |bytes: &[u8]| match Readout::find(bytes) {
        Some((Ok(readout), ..)) => readout.has_check,
        Some((Err(error), ..)) => !matches!(error, ReadoutError::Truncated(_)),
        None => false,
    };
    receive(wire, &mut bytes, is_whole).await?;
    match Readout::find(&bytes) {
        Some((Ok(readout), ..)) => Ok(readout),
        Some((Err(ReadoutError::Truncated(_)), ..)) | None => {
            Err(PollError::NoData(identification.model, speed))
        }
        Some((Err(error), ..)) => Err(IecError::from(error).into()),
    }
}

fn set_speed(wire: &mut Wire, baud: u32) -> Result<(), Disconnected> {
    let Some(control) = &mut wire.control else {
        return Ok(());
    };
    let line = Line {
        baud,
        ..control.line()
    };
    control
        .set(line)
        .map_err(|error| Disconnected::new(error.to_string()))
}

/// Sends `bytes`, and returns when they have left: a change of speed before would garble them.
///
/// The time is computed, since waiting for the driver would block the thread of all ports.
async fn send(wire: &mut Wire, bytes: &[u8], baud: u32) -> Result<(), Disconnected> {
    let failed = |error: std::io::Error| Disconnected::new(error.to_string());
    wire.stream.write_all(bytes).await.map_err(failed)?;
    if wire.has_line {
        // Ten bits a character, and the latency of a USB adapter.
        let bits = 10 * bytes.len() as u64;
        sleep(Duration::from_millis(bits * 1000 / u64::from(baud) + 20)).await;
    }
    Ok(())
}

/// Receives until `is_whole` accepts the bytes, or until none have come for a while.
async fn receive(
    wire: &mut Wire,
    bytes: &mut Vec<u8>,
    is_whole: impl Fn(&[u8]) -> bool,
) -> Result<(), Disconnected> {
    let (deadline, mut patience, mut buffer) = (Instant::now() + LONGEST, REACTION, [0; 512]);
    while !is_whole(bytes) && bytes.len() < MAX_READOUT && Instant::now() < deadline {
        match timeout(patience, wire.stream.read(&mut buffer)).await {
            Err(_) => break,
            Ok(Ok(0)) => return Err(Disconnected::new("hung up".into())),
            Ok(Ok(n)) => bytes.extend_from_slice(&buffer[..n]),
            Ok(Err(error)) => return Err(Disconnected::new(error.to_string())),
        }
        patience = PAUSE;
    }
    Ok(())
}

async fn discard_late_bytes(wire: &mut Wire) -> Result<(), Disconnected> {
    let mut buffer = [0; 512];
    for _ in 0..64 {
        match timeout(Duration::from_millis(2), wire.stream.read(&mut buffer)).await {
            Err(_) => break,
            Ok(Ok(0)) => return Err(Disconnected::new("hung up".into())),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Disconnected::new(error.to_string())),
        }
    }
    Ok(())
}
