//! `metertap scan`: finds the center frequency with the most meters, and the best gain.

use crate::cli::hertz::parse_hertz;
use crate::cli::tuner_args::TunerArgs;
use crate::config::toml_text::quoted;
use crate::receiver::{Probe, Received};
use crate::runtime::Runtime;
use crate::source::{Family, Gain, R820T_GAINS_TENTHS, TuneCommand, find_best};
use anyhow::{Result, bail};
use metertap_decode::ert::{Kind, Message};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Samples of the old center frequency still arrive for this long after retuning.
const SETTLE: Duration = Duration::from_millis(100);
/// Ends of the band of ERT meters.
const ERT_BAND_HZ: (f64, f64) = (903e6, 927e6);
/// Longest bar of packets in characters.
const MAX_BAR: usize = 40;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Lower end of the band. Default: 903M; for wireless M-Bus, the center of its band.
    #[arg(long, value_name = "HZ", value_parser = parse_hertz)]
    from: Option<f64>,
    /// Upper end of the band. Default: 927M, or the center.
    #[arg(long, value_name = "HZ", value_parser = parse_hertz)]
    to: Option<f64>,
    /// Distance between center frequencies.
    #[arg(long, value_name = "HZ", value_parser = parse_hertz, default_value = "2M")]
    step: f64,
    /// Seconds at each center frequency.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    dwell: f64,
    #[command(flatten)]
    tuner: TunerArgs,
}

/// Reception at one center frequency.
struct Reception {
    center_hz: f64,
    packets: u64,
    meters: usize,
    noise_dbfs: f32,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let cancel = runtime.context.cancel.clone();
    let (name, live) = args.tuner.single_source("one receiver can scan at a time")?;
    let family = args.tuner.family();
    // One window holds all channels of wireless M-Bus: by default only its gain is searched.
    let center_hz = f64::from(family.center_hz());
    let (low_hz, high_hz) = if family.is_wmbus() {
        (center_hz, center_hz)
    } else {
        ERT_BAND_HZ
    };
    let (from_hz, to_hz) = (args.from.unwrap_or(low_hz), args.to.unwrap_or(high_hz));
    if !(args.step > 0.0 && from_hz <= to_hz) {
        bail!("invalid band: expected --from to be at most --to, and --step to be more than 0");
    }
    let mut source = live.open()?;
    let gain = match live.tuning.gain {
        Gain::Auto => Gain::Tenths(find_best(source.as_mut(), &R820T_GAINS_TENTHS)?),
        gain => gain,
    };
    let mut probe = Probe::new(source, args.tuner.family())?;
    let mut receptions: Vec<Reception> = Vec::new();
    println!(
        "{:>12}  {:>7}  {:>6}  {:>10}",
        "center", "packets", "meters", "noise"
    );
    let mut center_hz = from_hz;
    while center_hz <= to_hz && !cancel.is_cancelled() {
        let reception = receive(&mut probe, center_hz, Duration::from_secs_f64(args.dwell))?;
        println!(
            "{:8.3} MHz  {:7}  {:6}  {:5.1} dBFS  {}",
            reception.center_hz / 1e6,
            reception.packets,
            reception.meters,
            reception.noise_dbfs,
            "█".repeat((reception.packets as usize).min(MAX_BAR))
        );
        receptions.push(reception);
        probe = probe.restart()?;
        center_hz += args.step;
    }
    if let Some(error) = probe.crystal_error() {
        println!("\nCrystal of the receiver: {error}");
    }
    receptions.retain(|reception| reception.packets > 0);
    receptions.sort_by_key(|reception| std::cmp::Reverse((reception.meters, reception.packets)));
    let Some(best) = receptions.first() else {
        println!(
            "\nNo meter was heard anywhere in {:.0} s at each place. Many transmit once a minute: try a longer --dwell.",
            args.dwell
        );
        return Ok(ExitCode::FAILURE);
    };
    println!(
        "\nMost meters are around {:.3} MHz. In metertap.toml:\n\n{}",
        best.center_hz / 1e6,
        radio_section(&name, family, best.center_hz, gain)
    );
    if receptions.len() > 1 {
        println!("\nOr, to receive them all in turn:\n\ncenter_freq = \"hop\"");
    }
    Ok(ExitCode::SUCCESS)
}

/// Section of the configuration for a source, center frequency and gain.
fn radio_section(source: &str, family: Family, center_hz: f64, gain: Gain) -> String {
    let gain = match gain {
        Gain::Tenths(tenths) => format!("{:.1}", f64::from(tenths) / 10.0),
        word @ (Gain::Auto | Gain::Best) => quoted(&word.to_string()),
    };
    format!(
        "[[radio]]\nsource = {}\n{}center_freq = {center_hz:.0}\ngain = {gain}",
        quoted(source),
        match family {
            Family::Ert => String::new(),
            family => format!("band = \"{}\"\n", family.band()),
        }
    )
}

/// Tunes to a center frequency and counts packets and meters for `dwell`.
fn receive(probe: &mut Probe, center_hz: f64, dwell: Duration) -> Result<Reception> {
    probe.source().tune(TuneCommand::Center(center_hz as u32))?;
    let tuned = Instant::now();
    let mut meters = BTreeSet::new();
    let mut packets = 0;
    while tuned.elapsed() < dwell + SETTLE {
        let is_settled = tuned.elapsed() > SETTLE;
        let has_more = probe.step(
            |_| (),
            |received| {
                if is_settled {
                    packets += 1;
                    meters.insert(meter_of(received));
                }
            },
        )?;
        if !has_more {
            bail!("the source closed the connection");
        }
    }
    Ok(Reception {
        center_hz,
        packets,
        meters: meters.len(),
        noise_dbfs: probe.noise_dbfs(),
    })
}

/// Returns what tells the meters from one another: the id of an ERT, or the address of wireless M-Bus.
fn meter_of(received: Received) -> Vec<u8> {
    match received {
        Received::Packet(packet) => {
            let id = metertap_decode::ert::id_of(packet).unwrap_or_default();
            id.to_be_bytes().to_vec()
        }
        Received::Frame(frame) if !frame.mode.is_wmbus() => {
            let kind = Kind::of_mode(frame.mode);
            let message = kind.and_then(|kind| Message::parse(kind, frame.bytes()).ok());
            message.map_or_else(Vec::new, |message| message.id().to_be_bytes().to_vec())
        }
        Received::Frame(frame) => frame.bytes().iter().skip(2).take(8).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn given_any_gain_then_the_printed_section_is_a_valid_configuration() {
        for (gain, line) in [
            (Gain::Tenths(402), "gain = 40.2"),
            (Gain::Tenths(300), "gain = 30.0"),
            (Gain::Best, "gain = \"best\""),
            (Gain::Auto, "gain = \"auto\""),
        ] {
            let section = radio_section("rtlsdr:00000001", Family::Ert, 913e6, gain);
            assert!(section.ends_with(line), "{section}");
            let (config, _) = Config::parse(&section, &[]).expect(&section);
            assert_eq!(config.radios[0].family, Family::Ert);
        }
        let fsk: Family = "915-fsk".parse().unwrap();
        let section = radio_section("rtlsdr", fsk, 915.8e6, Gain::Auto);
        let (config, _) = Config::parse(&section, &[]).expect(&section);
        assert_eq!(config.radios[0].family, fsk);
    }
}
