//! Receivers: opens each, and measures sample rate, level and packets.

use super::report::Report;
use crate::receiver::{Probe, TuningError};
use crate::runtime::Cancel;
use crate::source::{Family, Live};
use std::time::{Duration, Instant};

/// Bytes of a sample of a live source: I and Q.
const SAMPLE_BYTES: f64 = 2.0;
/// Range of the measured sample rate in percent of the nominal one.
const GOOD_RATE: std::ops::Range<f64> = 95.0..105.0;
/// Share of samples at full scale above which the gain is too high, in percent.
const MAX_CLIPPED: f64 = 1.0;
/// Power below which the gain is too low: quantization noise hides weak packets.
const MIN_POWER_DBFS: f64 = -46.0;
/// Meters below which their own errors cannot be told from that of the dongle.
const FEW_METERS: usize = 5;
/// Tuning error that is worth a correction; meters of mode T may be 60 ppm off themselves.
const MAX_TUNING_PPM: f64 = 30.0;

/// Opens a receiver and measures sample rate, level and packets.
pub(super) fn examine_receiver(
    (name, live, family): &(String, Live, Family),
    seconds: f64,
    cancel: &Cancel,
    report: &mut Report,
) {
    let source = match live.open() {
        Ok(source) => source,
        Err(error) => {
            return report.bad(
                "receiver",
                &format!("{name}: {error:#}"),
                "`metertap devices` lists the dongles",
            );
        }
    };
    report.ok("receiver", &format!("{name}: {}", source.info().name));
    let rate = source.info().sample_rate_hz;
    let start = Instant::now();
    let mut probe = match Probe::new(source, *family) {
        Ok(probe) => probe,
        Err(error) => return report.bad("receiver", &format!("{error:#}"), ""),
    };
    let mut first = None;
    while start.elapsed() < Duration::from_secs_f64(seconds) && !cancel.is_cancelled() {
        let step = probe.step(
            |bytes| {
                // The first block may have been waiting in a buffer and would raise the measured rate.
                first.get_or_insert((Instant::now(), bytes.len() as u64));
            },
            |_| (),
        );
        match step {
            Ok(true) => {}
            Ok(false) => return report.bad("samples", "the source closed the connection", ""),
            Err(error) => {
                return report.bad(
                    "samples",
                    &format!("{error:#}"),
                    "unplug the dongle and plug it in again",
                );
            }
        }
    }
    report_throughput(&mut probe, first, rate, report);
    report_level(&probe, report);
    let packets = probe.tally().packets;
    let finding = format!(
        "{packets} packets in {seconds:.0} s, noise {:.1} dBFS",
        probe.noise_dbfs()
    );
    if let Some(error) = probe.crystal_error() {
        report.ok("crystal", &error.to_string());
    }
    if let Some(error) = probe.tuning_error() {
        report_tuning(&error, report);
    }
    if packets > 0 {
        report.ok("meters", &finding);
    } else {
        report.open(
            "meters",
            &format!("{finding}: many meters transmit once a minute or less (metertap listen shows them)"),
        );
    }
}

/// Meters are found within 60 kHz of their channels, whatever is wrong; a dongle that is far off leaves them less room for errors of
/// their own.
fn report_tuning(error: &TuningError, report: &mut Report) {
    if error.meters >= FEW_METERS && error.ppm.abs() > MAX_TUNING_PPM {
        let advice = format!("set ppm = {:.0} for this dongle", -error.ppm);
        return report.bad("tuning", &error.to_string(), &advice);
    }
    report.ok("tuning", &error.to_string());
}

fn report_throughput(probe: &mut Probe, first: Option<(Instant, u64)>, rate: f64, report: &mut Report) {
    let Some((since, skipped)) = first else {
        return report.bad("samples", "none", "unplug the dongle and plug it in again");
    };
    let measured = (probe.bytes - skipped) as f64 / SAMPLE_BYTES / since.elapsed().as_secs_f64();
    let share = 100.0 * measured / rate;
    let lost = probe.source().lost_bytes();
    let finding = format!("{measured:.0} a second, {share:.1} % of the sample rate; {lost} bytes lost");
    if lost == 0 && GOOD_RATE.contains(&share) {
        report.ok("samples", &finding);
    } else {
        report.bad(
            "samples",
            &finding,
            "try another USB port, a shorter cable, a lower --sample-rate (1.0 MS/s is enough)",
        );
    }
}

fn report_level(probe: &Probe, report: &mut Report) {
    let levels = &probe.levels;
    let clipped = 100.0 * levels.clipped();
    let power = levels.power_dbfs();
    let finding = format!("{power:.1} dBFS, {clipped:.2} % clipped  [{}]", levels.bars());
    if clipped > MAX_CLIPPED {
        report.bad(
            "level",
            &finding,
            "too strong: lower the gain (--gain 20, or --gain best)",
        );
    } else if power < MIN_POWER_DBFS {
        report.bad(
            "level",
            &finding,
            "too weak: is the antenna connected? raise the gain (--gain best)",
        );
    } else {
        report.ok("level", &finding);
    }
}
