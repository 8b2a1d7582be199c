//! `metertap record`: writes IQ samples to SigMF; all of them, or the moments around frames that failed their check.

use crate::cli::sigmf_recorder::{HardCaseRecorder, SigmfRecorder};
use crate::cli::tuner_args::TunerArgs;
use crate::receiver::Probe;
use crate::runtime::Runtime;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the recordings.
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Record only the moments around frames that failed their check after preamble and timing were found: hard cases,
    /// which help to improve the decoder.
    #[arg(long)]
    hard_cases: bool,
    /// Stop after this many seconds of reception.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// Seconds to keep before and after a hard case.
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    around: f64,
    /// Stop after this many hard cases.
    #[arg(long, default_value_t = 20)]
    max_files: u32,
    #[command(flatten)]
    tuner: TunerArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let cancel = runtime.context.cancel.clone();
    let (_, live) = args
        .tuner
        .single_source("one receiver can be recorded at a time")?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let source = live.open()?;
    let recorder = SigmfRecorder::new(
        &args.out,
        source.info().sample_rate_hz,
        source.info().center_hz.unwrap_or_default(),
    );
    let mut probe = Probe::new(source, args.tuner.family())?;
    let start = Instant::now();
    let is_over = || start.elapsed() >= Duration::from_secs_f64(args.seconds) || cancel.is_cancelled();
    if args.hard_cases {
        let mut cases = HardCaseRecorder::new(recorder, args.around);
        while !is_over() && cases.saved() < args.max_files && record_case(&mut probe, &mut cases)? {}
        if cases.saved() == 0 {
            eprintln!("metertap: no hard case in {:.0} s", start.elapsed().as_secs_f64());
        }
    } else {
        record_all(&mut probe, recorder, is_over)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes samples to disk as they arrive, until `is_over` or the source ends.
fn record_all(probe: &mut Probe, mut recorder: SigmfRecorder, is_over: impl Fn() -> bool) -> Result<()> {
    let mut has_more = true;
    while has_more && !is_over() {
        let mut written = Ok(());
        has_more = probe.step(|bytes| written = recorder.write(bytes), |_| ())?;
        written?;
    }
    recorder.finish()
}

/// Receives one block of samples; returns false at the end of the source.
fn record_case(probe: &mut Probe, cases: &mut HardCaseRecorder) -> Result<bool> {
    let failed_before = probe.tally().low_confidence;
    let mut pushed = Ok(());
    let has_more = probe.step(|bytes| pushed = cases.push(bytes), |_| ())?;
    pushed?;
    if probe.tally().low_confidence > failed_before {
        cases.mark();
    }
    Ok(has_more)
}
