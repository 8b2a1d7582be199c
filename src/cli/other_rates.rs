//! Finds the sample rate of a recording in which nothing was decoded, by trying those that programs use.

use crate::receiver::{CUSTOMARY_HZ, Probe};
use crate::runtime::Cancel;
use crate::source::Family;
use crate::source::recording::{Recording, RecordingOverrides};
use anyhow::Result;
use std::path::Path;

/// Seconds of the recording that are tried at each rate.
const SECONDS: f64 = 10.0;

/// Prints at which rate the recording decodes, having been tried at `tried_hz`, or that it decodes at none.
///
/// # Errors
/// If the file cannot be read any more.
pub fn suggest(
    path: &Path,
    tried_hz: f64,
    overrides: &RecordingOverrides,
    family: Family,
    cancel: &Cancel,
) -> Result<()> {
    if path == Path::new("-") {
        return Ok(());
    }
    let mut best = None;
    let others = CUSTOMARY_HZ.into_iter().filter(|hz| *hz != tried_hz);
    for rate_hz in others {
        if cancel.is_cancelled() {
            return Ok(());
        }
        let packets = packets_at(path, rate_hz, overrides, family)?;
        best = best.max(Some((packets, rate_hz as u64)).filter(|_| packets > 0));
    }
    let name = path.display();
    match best {
        Some((packets, rate_hz)) => eprintln!(
            "metertap: {name}: {packets} packets are decoded at {rate_hz} S/s: use --sample-rate {rate_hz}"
        ),
        None => eprintln!(
            "metertap: {name}: nor is any in its first {SECONDS} s at {} other rates from {} to {} S/s; what its bursts are is not known",
            CUSTOMARY_HZ.len() - 1,
            CUSTOMARY_HZ[0],
            CUSTOMARY_HZ[CUSTOMARY_HZ.len() - 1]
        ),
    }
    Ok(())
}

/// Packets in the first seconds of a recording, read at another rate.
fn packets_at(path: &Path, rate_hz: f64, overrides: &RecordingOverrides, family: Family) -> Result<u64> {
    let recording = Recording::open(
        path,
        &RecordingOverrides {
            sample_rate_hz: Some(rate_hz),
            ..overrides.clone()
        },
    )?;
    let mut probe = Probe::new(Box::new(recording), family)?;
    let sample_bytes = probe.source().info().format.sample_bytes() as f64;
    let limit = (SECONDS * rate_hz * sample_bytes) as u64;
    while probe.bytes < limit && probe.step(|_| (), |_| ())? {}
    Ok(probe.tally().packets)
}
