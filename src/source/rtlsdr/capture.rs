//! The capture process: opens one dongle and writes its samples to standard output.
//!
//! librtlsdr can fail in ways that nothing within a process can repair: a read that never returns, a close that hangs.
//! A process can be killed. So the dongle is opened here, and metertap kills and replaces this process when it falls
//! silent.
//!
//! ```text
//!  librtlsdr ─▶ callback ─▶ queue ─▶ to_pipe ─▶ stdout      stdin ─▶ control ─▶ librtlsdr
//! ```

use crate::runtime::priority::raise_priority;
use crate::source::address::DongleSelector;
use crate::source::rtlsdr::library::{Dongle, Error, Library};
use crate::source::rtlsdr::pipe::{FrameKind, write};
use crate::source::rtlsdr::{Opened, Request};
use crate::source::tuning::{Gain, TuneCommand, Tuning};
use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{BufRead, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// USB transfers that wait for the pipe: 0.9 s. Beyond this they are dropped and counted.
const MAX_WAITING: usize = 64;
/// Exit code after the dongle was lost.
const LOST: i32 = 3;
/// Interval and number of attempts to end librtlsdr's read loop.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);
const CANCEL_ATTEMPTS: u32 = 50;

/// Item of the queue to the pipe.
enum Outgoing {
    /// A USB transfer, and the bytes of those lost before it.
    Transfer { bytes: Vec<u8>, lost: u32 },
    /// Reason for the end of the process.
    Failed(String),
}

/// Runs until the dongle is lost, standard input ends, or the process is killed. `request` is JSON.
///
/// # Errors
/// Returns the reason if the dongle cannot be opened; it is written to standard output as well.
pub fn run(request: &str) -> Result<()> {
    let request: Request = serde_json::from_str(request).context("invalid request to the capture process")?;
    let result = capture(&request);
    if let Err(error) = &result {
        // A parent that is gone does not need the reason.
        let _ = write(
            &mut stdout().lock(),
            FrameKind::Failed,
            0,
            format!("{error:#}").as_bytes(),
        );
    }
    result
}

fn capture(request: &Request) -> Result<()> {
    // Ctrl-C and systemd's stop reach this process as well, but the parent decides: it closes standard input.
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let library = Library::load()?;
    let index = find(&library, &request.selector)?;
    let dongle = library.open(index)?;
    let opened = tune(&library, index, &dongle, &request.tuning)?;
    let opened = serde_json::to_vec(&opened)?;
    write(&mut stdout().lock(), FrameKind::Opened, 0, &opened)?;

    let tuning = &request.tuning;
    // One place more than there are buffers, for the reason of a failure.
    let (outgoing, queue) = bounded::<Outgoing>(MAX_WAITING + 1);
    let (free, free_buffers) = bounded::<Vec<u8>>(MAX_WAITING);
    for _ in 0..MAX_WAITING {
        let _ = free.try_send(Vec::with_capacity(tuning.usb_buffer_bytes as usize));
    }
    let stop_requested = AtomicBool::new(false);
    let (reading, read_has_ended) = bounded::<()>(0);
    let lost = AtomicU32::new(0);
    let result = thread::scope(|scope| {
        scope.spawn(|| to_pipe(&queue, &free));
        scope.spawn(|| control(&dongle, tuning.bias_tee, &stop_requested, &read_has_ended));
        raise_priority();
        let result = dongle.read(tuning.usb_buffers, tuning.usb_buffer_bytes, |bytes| {
            // librtlsdr's thread must not wait, or USB transfers are lost without notice.
            let Ok(mut buffer) = free_buffers.try_recv() else {
                lost.fetch_add(bytes.len() as u32, Ordering::Relaxed);
                return;
            };
            buffer.clear();
            buffer.extend_from_slice(bytes);
            let lost = lost.swap(0, Ordering::Relaxed);
            // Never full: the queue has a place for each buffer.
            let _ = outgoing.try_send(Outgoing::Transfer { bytes: buffer, lost });
        });
        if !stop_requested.load(Ordering::Relaxed) {
            // A return that was not requested means that the dongle is lost, whatever the library says. The control
            // thread waits for input and closing a lost dongle may hang, so `to_pipe` ends the process.
            let reason = match &result {
                Ok(()) => "unplugged, or lost by librtlsdr".to_owned(),
                Err(error) => format!("unplugged, or lost by librtlsdr ({error})"),
            };
            let _ = outgoing.try_send(Outgoing::Failed(reason));
        }
        drop((outgoing, reading));
        result
    });
    result.map_err(Into::into)
}

/// Returns the current index of the selected dongle.
fn find(library: &Library, selector: &DongleSelector) -> Result<u32> {
    let plugged = library.plugged();
    if plugged.is_empty() {
        bail!("no dongle is plugged in");
    }
    match selector {
        DongleSelector::First => Ok(0),
        DongleSelector::Index(index) if (*index as usize) < plugged.len() => Ok(*index),
        DongleSelector::Index(index) => bail!(
            "there is no dongle {index}: expected 0 to {}, as {} are plugged in",
            plugged.len() - 1,
            plugged.len()
        ),
        DongleSelector::Serial(serial) => match plugged.iter().find(|dongle| dongle.serial == *serial) {
            Some(dongle) => Ok(dongle.index),
            None => {
                let others: Vec<_> = plugged.iter().map(|dongle| dongle.serial.as_str()).collect();
                bail!(
                    "no dongle with serial number {serial} is plugged in, or another program has it; there are: {}",
                    others.join(", ")
                )
            }
        },
    }
}

fn tune(library: &Library, index: u32, dongle: &Dongle, tuning: &Tuning) -> Result<Opened, Error> {
    let sample_rate_hz = dongle.set_sample_rate(tuning.sample_rate_hz)?;
    dongle.set_ppm(tuning.ppm)?;
    dongle.set_digital_agc(tuning.digital_agc)?;
    let gain_tenths = match tuning.gain {
        Gain::Auto | Gain::Best => dongle.set_auto_gain().map(|()| None)?,
        Gain::Tenths(tenths) => Some(dongle.set_gain(tenths)?),
    };
    dongle.set_center(tuning.center_hz)?;
    let bias_tee = dongle.set_bias_tee(tuning.bias_tee)? && tuning.bias_tee;
    let plugged = library.plugged().into_iter().find(|dongle| dongle.index == index);
    let (name, serial) = plugged
        .map(|dongle| (dongle.name, dongle.serial))
        .unwrap_or_default();
    Ok(Opened {
        name,
        serial,
        tuner: dongle.tuner().into(),
        gains_tenths: dongle.gains(),
        gain_tenths,
        sample_rate_hz,
        bias_tee,
    })
}

/// Writes the queue to standard output; ends the process if the dongle is lost or nobody reads.
fn to_pipe(queue: &Receiver<Outgoing>, free: &Sender<Vec<u8>>) {
    let mut out = stdout().lock();
    for outgoing in queue {
        match outgoing {
            Outgoing::Transfer { bytes, lost } => {
                if write(&mut out, FrameKind::Samples, lost, &bytes).is_err() {
                    // The parent is gone, and a library that hangs must not keep this process alive.
                    std::process::exit(0);
                }
                let _ = free.try_send(bytes);
            }
            Outgoing::Failed(reason) => {
                let _ = write(&mut out, FrameKind::Failed, 0, reason.as_bytes());
                std::process::exit(LOST);
            }
        }
    }
}

/// Obeys the commands of the parent until it closes standard input, then ends the read loop of the library.
fn control(dongle: &Dongle, bias_tee: bool, stop_requested: &AtomicBool, read_has_ended: &Receiver<()>) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        let result = match serde_json::from_str::<TuneCommand>(&line) {
            Ok(TuneCommand::Center(hz)) => dongle.set_center(hz),
            Ok(TuneCommand::Gain(Gain::Auto | Gain::Best)) => dongle.set_auto_gain(),
            Ok(TuneCommand::Gain(Gain::Tenths(tenths))) => dongle.set_gain(tenths).map(drop),
            Ok(TuneCommand::Ppm(ppm)) => dongle.set_ppm(ppm),
            Err(error) => {
                tracing::warn!(%error, line, "Malformed command to the capture process ignored");
                continue;
            }
        };
        if let Err(error) = result {
            tracing::warn!(%error, line, "Command to the dongle failed");
        }
    }
    stop_requested.store(true, Ordering::Relaxed);
    if bias_tee {
        let _ = dongle.set_bias_tee(false);
    }
    // The library loses a cancellation that comes before its read loop has begun, so it is repeated.
    for _ in 0..CANCEL_ATTEMPTS {
        dongle.cancel();
        if read_has_ended.recv_timeout(CANCEL_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
    // The library hangs.
    std::process::exit(0);
}
