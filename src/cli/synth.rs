//! `metertap synth`: renders a scenario as a recording, with the list of its messages beside it.

use crate::source::Source;
use crate::source::simulator::{Scenario, Simulator};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario in TOML; see testdata/street/street.toml.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Recording to write; `-` is standard output. The messages are listed in <OUT>.truth.jsonl, except with `-`.
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Length in seconds, overriding the scenario's.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Decibels to add to the SNR of every meter.
    #[arg(long, value_name = "DB", default_value_t = 0.0, allow_hyphen_values = true)]
    snr: f64,
    /// Seed of noise and phases, overriding the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let name = args.scenario.display().to_string();
    let text = std::fs::read_to_string(&args.scenario).with_context(|| name.clone())?;
    let mut scenario = Scenario::parse(&text, &name)?;
    scenario.seconds = args.seconds.unwrap_or(scenario.seconds);
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    for meter in &mut scenario.meter {
        meter.snr_db += args.snr;
    }
    let mut source = Simulator::new(&scenario, &name)?;
    if args.out == Path::new("-") {
        copy(&mut source, &mut stdout().lock()).context("standard output")?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = args.out.display();
    let mut file = BufWriter::new(File::create(&args.out).with_context(|| format!("{shown}"))?);
    copy(&mut source, &mut file).with_context(|| format!("{shown}"))?;
    file.flush().with_context(|| format!("{shown}"))?;
    let sent = write_truth(&scenario, &args.out)?;
    eprintln!("metertap: {shown}: {} s, {sent} messages", scenario.seconds);
    Ok(ExitCode::SUCCESS)
}

fn copy(source: &mut Simulator, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..n])?;
    }
}

/// Writes one JSON line per message, in the order of time; returns their number.
fn write_truth(scenario: &Scenario, out: &Path) -> Result<usize> {
    let mut path = out.as_os_str().to_owned();
    path.push(".truth.jsonl");
    let path = PathBuf::from(path);
    let mut text = String::new();
    let transmissions = scenario.transmissions()?;
    for (truth, _) in &transmissions {
        text += &serde_json::to_string(truth)?;
        text.push('\n');
    }
    std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    Ok(transmissions.len())
}
