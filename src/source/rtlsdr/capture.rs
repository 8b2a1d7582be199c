//! The capture process: holds one dongle and writes what it hears to standard output.
//!
//! librtlsdr can fail in ways that nothing within a process can mend: a read that never returns, a close that
//! hangs. A process can be killed. So the dongle is opened here, and metertap starts this process anew
//! whenever it falls silent.

use crate::source::rtlsdr::library::{Dongle, Error, Library};
use crate::source::rtlsdr::pipe::{Kind, write};
use crate::source::rtlsdr::{Opened, Request};
use crate::source::{Gain, Pick, TuneCommand, Tuning};
use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{BufRead, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Transfers waiting for the pipe: 0.9 s.
const WAITING: usize = 64;

/// A transfer on its way to the pipe.
struct Chunk {
    bytes: Vec<u8>,
    lost: u32,
}

/// Runs until the dongle is lost, standard input ends, or the process is killed.
///
/// # Errors
/// Why it is over; the parent has been told as well.
pub fn run(request: &str) -> Result<()> {
    let request: Request = serde_json::from_str(request).context("the request of the capture process")?;
    let outcome = capture(&request);
    if let Err(error) = &outcome {
        // If the parent is gone nobody wants to know.
        let _ = write(
            &mut stdout().lock(),
            Kind::Failed,
            0,
            format!("{error:#}").as_bytes(),
        );
    }
    outcome
}

fn capture(request: &Request) -> Result<()> {
    // Ctrl-C and systemd's stop reach us as well; but the parent closes the dongle, by hanging up.
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let library = Library::load()?;
    let index = find(&library, &request.pick)?;
    let dongle = library.open(index)?;
    let opened = tune(&library, index, &dongle, &request.tuning)?;
    write(
        &mut stdout().lock(),
        Kind::Opened,
        0,
        &serde_json::to_vec(&opened)?,
    )?;

    let tuning = &request.tuning;
    let (full_in, full) = bounded::<Chunk>(WAITING);
    let (free, free_out) = bounded::<Vec<u8>>(WAITING);
    for _ in 0..WAITING {
        let _ = free.try_send(Vec::with_capacity(tuning.usb_buffer_bytes as usize));
    }
    let asked = AtomicBool::new(false);
    let lost = AtomicU32::new(0);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| to_pipe(&full, &free));
        scope.spawn(|| control(&dongle, request.tuning.bias_tee, &asked));
        crate::runtime::priority::raise_priority();
        let outcome = dongle.read(tuning.usb_buffers, tuning.usb_buffer_bytes, |bytes| {
            let Ok(mut buffer) = free_out.try_recv() else {
                lost.fetch_add(1, Ordering::Relaxed);
                return;
            };
            buffer.clear();
            buffer.extend_from_slice(bytes);
            let lost = lost.swap(0, Ordering::Relaxed);
            // There are as many places as buffers.
            let _ = full_in.try_send(Chunk { bytes: buffer, lost });
        });
        drop(full_in);
        if !asked.load(Ordering::Relaxed) {
            // Any return that nobody asked for is a loss, whatever the library says. The other threads wait on
            // pipes, and closing a lost dongle may hang: the process ends here.
            let reason = match outcome {
                Ok(()) => "unplugged, or lost by librtlsdr".to_owned(),
                Err(error) => format!("unplugged, or lost by librtlsdr ({error})"),
            };
            thread::sleep(Duration::from_millis(50));
            let _ = write(&mut stdout().lock(), Kind::Failed, 0, reason.as_bytes());
            std::process::exit(3);
        }
        outcome
    });
    outcome.map_err(Into::into)
}

/// The index of the dongle that is meant, now.
fn find(library: &Library, pick: &Pick) -> Result<u32> {
    let plugged = library.plugged();
    if plugged.is_empty() {
        bail!("no dongle is plugged in");
    }
    match pick {
        Pick::Only => Ok(0),
        Pick::Index(index) if (*index as usize) < plugged.len() => Ok(*index),
        Pick::Index(index) => bail!(
            "there is no dongle {index}: there are {}, counted from 0",
            plugged.len()
        ),
        Pick::Serial(serial) => match plugged.iter().find(|dongle| dongle.serial == *serial) {
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
    let about = library.plugged().into_iter().find(|dongle| dongle.index == index);
    Ok(Opened {
        name: about.as_ref().map(|about| about.name.clone()).unwrap_or_default(),
        serial: about.map(|about| about.serial).unwrap_or_default(),
        tuner: dongle.tuner().into(),
        gains_tenths: dongle.gains(),
        gain_tenths,
        sample_rate_hz,
        bias_tee,
    })
}

fn to_pipe(full: &Receiver<Chunk>, free: &Sender<Vec<u8>>) {
    let mut out = stdout().lock();
    for chunk in full {
        if write(&mut out, Kind::Samples, chunk.lost, &chunk.bytes).is_err() {
            // The parent is gone, and a hanging library must not keep us.
            std::process::exit(0);
        }
        let _ = free.try_send(chunk.bytes);
    }
}

/// Follows the parent's wishes, a JSON line each, until it hangs up.
fn control(dongle: &Dongle, bias_tee: bool, asked: &AtomicBool) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        match serde_json::from_str::<TuneCommand>(&line) {
            Ok(TuneCommand::Center(hz)) => drop(dongle.set_center(hz)),
            Ok(TuneCommand::Gain(Gain::Auto | Gain::Best)) => drop(dongle.set_auto_gain()),
            Ok(TuneCommand::Gain(Gain::Tenths(tenths))) => drop(dongle.set_gain(tenths)),
            Ok(TuneCommand::Ppm(ppm)) => drop(dongle.set_ppm(ppm)),
            Err(error) => tracing::warn!(%error, "A wish was not understood."),
        }
    }
    asked.store(true, Ordering::Relaxed);
    if bias_tee {
        let _ = dongle.set_bias_tee(false);
    }
    // A cancel before the read has begun is lost. Should the library hang, the parent kills us.
    for _ in 0..50 {
        dongle.cancel();
        thread::sleep(Duration::from_millis(20));
    }
    std::process::exit(0);
}
