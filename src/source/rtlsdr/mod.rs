//! An RTL-SDR dongle, held by a process of its own that can be killed.

pub mod capture;
mod library;
mod pipe;

pub use library::{Library, Plugged};

use crate::source::{Gain, Info, Pick, Source, TuneCommand, Tuning};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use pipe::{Header, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// For opening a dongle; a healthy one takes less than a second.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often a reader looks up.
const TICK: Duration = Duration::from_millis(250);
/// What a process is given to close its dongle before it is killed.
const GRACE: Duration = Duration::from_millis(700);

/// What a capture process is asked to do.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    pick: Pick,
    tuning: Tuning,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The library's name for it.
    pub name: String,
    /// Its serial number.
    pub serial: String,
    /// Its tuner.
    pub tuner: String,
    /// All gains that it has.
    pub gains_tenths: Vec<i32>,
    /// The one set; nothing if automatic.
    pub gain_tenths: Option<i32>,
    /// The rate that the hardware can do.
    pub sample_rate_hz: u32,
    /// Whether the antenna has power.
    pub bias_tee: bool,
}

/// A dongle being read.
pub struct Rtlsdr {
    info: Info,
    opened: Opened,
    gain: Gain,
    process: Process,
    /// Bytes of the current frame not yet read.
    left: usize,
    /// Transfers lost so far.
    lost: u64,
}

impl Rtlsdr {
    /// Starts a capture process and waits until its dongle is open.
    ///
    /// # Errors
    /// Why the dongle cannot be had.
    pub fn open(pick: &Pick, tuning: &Tuning) -> Result<Self> {
        let request = Request {
            pick: pick.clone(),
            tuning: *tuning,
        };
        let mut process = Process::start(&serde_json::to_string(&request)?)?;
        let deadline = Instant::now() + PATIENCE;
        if !process.readable(PATIENCE)? {
            bail!("librtlsdr does not answer for {} s", PATIENCE.as_secs());
        }
        let header = pipe::read_header(&mut process.out).context("the capture process has ended")?;
        let mut payload = vec![0; header.len as usize];
        process.read_exact(&mut payload, deadline)?;
        let opened: Opened = match header.kind {
            Kind::Opened => serde_json::from_slice(&payload)?,
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
            lost: 0,
        })
    }

    /// What was opened.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }
}

impl Source for Rtlsdr {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.process.readable(TICK)? {
            return Err(ErrorKind::TimedOut.into());
        }
        while self.left == 0 {
            let header: Header = pipe::read_header(&mut self.process.out)?;
            self.left = header.len as usize;
            self.lost += u64::from(header.lost);
            if header.kind != Kind::Samples {
                let mut reason = vec![0; self.left.min(1000)];
                self.process.out.read_exact(&mut reason)?;
                return Err(Error::other(String::from_utf8_lossy(&reason).into_owned()));
            }
        }
        let len = buffer.len().min(self.left);
        let n = self.process.out.read(&mut buffer[..len])?;
        self.left -= n;
        Ok(n)
    }

    fn lost(&self) -> u64 {
        self.lost
    }

    fn gain(&self) -> Option<Gain> {
        Some(self.gain)
    }

    fn tune(&mut self, command: TuneCommand) -> std::io::Result<()> {
        match command {
            TuneCommand::Center(hz) => self.info.center_hz = Some(hz.into()),
            TuneCommand::Gain(gain) => self.gain = gain,
            TuneCommand::Ppm(_) => {}
        }
        self.process.tell(&serde_json::to_string(&command)?)
    }
}

/// The child; killed when dropped.
struct Process {
    child: Child,
    out: ChildStdout,
    input: Option<ChildStdin>,
}

impl Process {
    fn start(request: &str) -> Result<Self> {
        let program = std::env::current_exe().context("metertap's own program")?;
        let mut child = Command::new(program)
            .args(["capture-rtlsdr", request])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The library talks a lot about what is told better elsewhere.
            .stderr(if std::env::var_os("METERTAP_LIBRTLSDR_LOG").is_some() {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .spawn()
            .context("the capture process cannot be started")?;
        let out = child.stdout.take().context("the capture process has no output")?;
        let input = child.stdin.take();
        Ok(Process { child, out, input })
    }

    /// Whether something can be read within `patience`.
    fn readable(&self, patience: Duration) -> std::io::Result<bool> {
        let timeout = Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.out, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read_exact(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<()> {
        while !buffer.is_empty() {
            if !self.readable(deadline.saturating_duration_since(Instant::now()))? {
                bail!("the capture process has fallen silent");
            }
            let n = self.out.read(buffer)?;
            if n == 0 {
                bail!("the capture process has ended");
            }
            buffer = &mut buffer[n..];
        }
        Ok(())
    }

    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        let Some(input) = &mut self.input else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        input.write_all(line.as_bytes())?;
        input.write_all(b"\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its sign to close the dongle.
        self.input = None;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            // It may be waiting for its output to be read.
            let mut buffer = [0; 4096];
            match self.readable(Duration::from_millis(20)) {
                Ok(true) => drop(self.out.read(&mut buffer)),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        let _ = self.child.kill();
        // A process that hangs in the kernel does not even die: it is left behind rather than waited for.
        for _ in 0..20 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        tracing::warn!(
            pid = self.child.id(),
            "A capture process hangs in the kernel and is left behind."
        );
    }
}
