//! An RTL-SDR dongle, opened by a capture process that can be killed.

pub mod capture;
mod library;
mod pipe;
mod process;

pub use library::{Library, Plugged};

use crate::source::address::DongleSelector;
use crate::source::iq::{Info, Source};
use crate::source::tuning::{Gain, TuneCommand, Tuning};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use pipe::{FrameKind, Header};
use process::Process;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// Time for a dongle to open; a healthy one takes less than a second.
const OPEN_TIMEOUT: Duration = Duration::from_secs(8);
/// Timeout of a read, after which the caller may look at the time.
const READ_TIMEOUT: Duration = Duration::from_millis(250);
/// Longest text of a failure that is read.
const MAX_REASON: usize = 1000;

/// Task of a capture process, passed to it as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    selector: DongleSelector,
    tuning: Tuning,
}

/// Properties of an open dongle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Model, as librtlsdr names it.
    pub name: String,
    /// Serial number.
    pub serial: String,
    /// Tuner chip.
    pub tuner: String,
    /// Gains of the tuner, in tenths of a dB, ascending.
    pub gains_tenths: Vec<i32>,
    /// Gain that was set, in tenths of a dB; nothing if it is automatic.
    pub gain_tenths: Option<i32>,
    /// Sample rate that the hardware can do.
    pub sample_rate_hz: u32,
    /// True if the antenna amplifier has power.
    pub bias_tee: bool,
}

/// An open dongle.
pub struct Rtlsdr {
    info: Info,
    opened: Opened,
    gain: Gain,
    process: Process,
    /// Bytes of the current frame that were not read yet.
    left: usize,
    lost_bytes: u64,
}

impl Rtlsdr {
    /// Starts a capture process and waits until its dongle is open.
    ///
    /// # Errors
    /// Returns the reason if the dongle is absent, busy or forbidden, if librtlsdr is missing or does not respond, or if
    /// the process cannot be started.
    pub fn open(selector: &DongleSelector, tuning: &Tuning) -> Result<Self> {
        let request = Request {
            selector: selector.clone(),
            tuning: *tuning,
        };
        let mut process = Process::start(&serde_json::to_string(&request)?)?;
        let deadline = Instant::now() + OPEN_TIMEOUT;
        if !process.is_readable(OPEN_TIMEOUT)? {
            bail!("librtlsdr does not answer for {} s", OPEN_TIMEOUT.as_secs());
        }
        let header = pipe::read_header(&mut process.output).context("the capture process has ended")?;
        let mut payload = vec![0; header.len as usize];
        process.read_exact(&mut payload, deadline)?;
        let opened: Opened = match header.kind {
            FrameKind::Opened => serde_json::from_slice(&payload)?,
            _ => bail!("{}", String::from_utf8_lossy(&payload)),
        };
        Ok(Rtlsdr {
            info: Info {
                name: format!("{} {}", opened.name, opened.serial),
                format: Format::Cu8,
                sample_rate_hz: opened.sample_rate_hz.into(),
                center_hz: Some(tuning.center_hz.into()),
                start: Timestamp::now(),
                bytes: None,
                assumed: Vec::new(),
            },
            gain: opened.gain_tenths.map_or(Gain::Auto, Gain::Tenths),
            opened,
            process,
            left: 0,
            lost_bytes: 0,
        })
    }

    /// Properties of the dongle.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }
}

impl Source for Rtlsdr {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.process.is_readable(READ_TIMEOUT)? {
            return Err(ErrorKind::TimedOut.into());
        }
        // The capture process writes a frame at once, so its header is readable as a whole soon after its first byte.
        while self.left == 0 {
            let header: Header = pipe::read_header(&mut self.process.output)?;
            self.left = header.len as usize;
            self.lost_bytes += u64::from(header.lost);
            if header.kind != FrameKind::Samples {
                let mut reason = vec![0; self.left.min(MAX_REASON)];
                self.process.output.read_exact(&mut reason)?;
                return Err(io::Error::other(String::from_utf8_lossy(&reason).into_owned()));
            }
        }
        let len = buffer.len().min(self.left);
        let n = self.process.output.read(&mut buffer[..len])?;
        self.left -= n;
        Ok(n)
    }

    fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    fn gain(&self) -> Option<Gain> {
        Some(self.gain)
    }

    fn tune(&mut self, command: TuneCommand) -> io::Result<()> {
        match command {
            TuneCommand::Center(hz) => self.info.center_hz = Some(hz.into()),
            TuneCommand::Gain(gain) => self.gain = gain,
            TuneCommand::Ppm(_) => {}
        }
        self.process.send_line(&serde_json::to_string(&command)?)
    }
}
