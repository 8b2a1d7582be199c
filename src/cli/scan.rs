//! `metertap scan`: where in the band are the meters, and with which gain are they heard best?

use crate::cli::number::hertz;
use crate::cli::tuner::Tuner;
use crate::receiver::Probe;
use crate::runtime::Runtime;
use crate::source::{Gain, R820T_GAINS_TENTHS, TuneCommand, find_best};
use anyhow::{Result, bail};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Samples that are on their way while the tuner moves.
const SETTLE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Lower end of the band.
    #[arg(long, value_name = "HZ", value_parser = hertz, default_value = "903M")]
    from: f64,
    /// Upper end.
    #[arg(long, value_name = "HZ", value_parser = hertz, default_value = "927M")]
    to: f64,
    /// From one centre to the next.
    #[arg(long, value_name = "HZ", value_parser = hertz, default_value = "2M")]
    step: f64,
    /// How long each is listened to.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    dwell: f64,
    #[command(flatten)]
    tuner: Tuner,
}

struct Place {
    center_hz: f64,
    packets: u64,
    meters: usize,
    noise_dbfs: f32,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let stop = runtime.context.cancel.clone();
    let (name, live) = args.tuner.only("one receiver can scan at a time")?;
    if !(args.step > 0.0 && args.from <= args.to) {
        bail!("--from must not be above --to, and --step must be more than 0");
    }
    let mut source = live.open()?;
    let gain = match live.tuning.gain {
        Gain::Auto => Some(find_best(source.as_mut(), &R820T_GAINS_TENTHS)?),
        _ => None,
    };
    let mut probe = Probe::new(source)?;
    let mut places: Vec<Place> = Vec::new();
    println!(
        "{:>12}  {:>7}  {:>6}  {:>10}",
        "centre", "packets", "meters", "noise"
    );
    let mut center_hz = args.from;
    while center_hz <= args.to && !stop.is_cancelled() {
        let place = listen(&mut probe, center_hz, Duration::from_secs_f64(args.dwell))?;
        println!(
            "{:8.3} MHz  {:7}  {:6}  {:5.1} dBFS  {}",
            place.center_hz / 1e6,
            place.packets,
            place.meters,
            place.noise_dbfs,
            "█".repeat((place.packets as usize).min(40))
        );
        places.push(place);
        probe = probe.restart()?;
        center_hz += args.step;
    }
    places.sort_by_key(|place| std::cmp::Reverse((place.meters, place.packets)));
    let heard: Vec<_> = places.iter().filter(|place| place.packets > 0).take(3).collect();
    let Some(best) = heard.first() else {
        println!(
            "\nNo meter was heard anywhere in {:.0} s at each place. Many speak once a minute: try a longer --dwell.",
            args.dwell
        );
        return Ok(ExitCode::FAILURE);
    };
    let gain = gain.map_or_else(
        || live.tuning.gain.to_string(),
        |tenths| format!("{:.1}", f64::from(tenths) / 10.0),
    );
    println!(
        "\nMost meters are around {:.3} MHz. In metertap.toml:\n",
        best.center_hz / 1e6
    );
    println!(
        "[[radio]]\nsource = \"{name}\"\ncenter_freq = {:.0}",
        best.center_hz
    );
    println!("gain = {gain}");
    if heard.len() > 1 {
        println!("\nOr, to hear them all in turn:\n\ncenter_freq = \"hop\"");
    }
    Ok(ExitCode::SUCCESS)
}

fn listen(probe: &mut Probe, center_hz: f64, dwell: Duration) -> Result<Place> {
    probe.source().tune(TuneCommand::Center(center_hz as u32))?;
    let moved = Instant::now();
    let mut meters = std::collections::BTreeSet::new();
    let mut packets = 0;
    while moved.elapsed() < dwell + SETTLE {
        let counts = moved.elapsed() > SETTLE;
        let goes_on = probe.step(
            |_| (),
            |packet| {
                if counts {
                    packets += 1;
                    meters.insert(metertap_decode::ert::id_of(packet));
                }
            },
        )?;
        if !goes_on {
            bail!("the source hung up");
        }
    }
    Ok(Place {
        center_hz,
        packets,
        meters: meters.len(),
        noise_dbfs: probe.noise_dbfs(),
    })
}
