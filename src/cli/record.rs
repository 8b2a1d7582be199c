//! `metertap record`: IQ to SigMF; all of it, or the seconds around frames that we could not decode.

use crate::cli::tuner::Tuner;
use crate::receiver::Probe;
use crate::runtime::Runtime;
use crate::source::recording::sigmf;
use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the recordings.
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Record only the moments around frames that locked but failed their check: hard cases, worth sending in.
    #[arg(long)]
    hard_cases: bool,
    /// Cancel after this long (hard cases: after this long of listening).
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// Seconds kept before and after a hard case.
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    around: f64,
    /// Cancel after so many hard cases.
    #[arg(long, default_value_t = 20)]
    max_files: u32,
    #[command(flatten)]
    tuner: Tuner,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let stop = runtime.context.cancel.clone();
    let (_, live) = args.tuner.only("one receiver can be recorded at a time")?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let source = live.open()?;
    let rate = source.info().sample_rate_hz;
    let mut recorder = Recorder {
        folder: args.out.clone(),
        sample_rate_hz: rate,
        center_hz: source.info().center_hz.unwrap_or_default(),
        ring: VecDeque::new(),
        room: (2.0
            * rate
            * if args.hard_cases {
                args.around
            } else {
                args.seconds
            }) as usize,
        after: None,
        files: 0,
    };
    let mut probe = Probe::new(source)?;
    let begun = Instant::now();
    let mut doubtful = 0;
    while begun.elapsed() < Duration::from_secs_f64(args.seconds)
        && !stop.is_cancelled()
        && recorder.files < args.max_files
    {
        let mut piece = Vec::new();
        let goes_on = probe.step(|bytes| piece.extend_from_slice(bytes), |_| ())?;
        recorder.push(&piece)?;
        let failed = probe.tally().low_confidence > doubtful;
        doubtful = probe.tally().low_confidence;
        if args.hard_cases && failed {
            recorder.case();
        }
        if !goes_on {
            break;
        }
    }
    if !args.hard_cases {
        recorder.save()?;
    }
    if recorder.files == 0 {
        eprintln!("metertap: no hard case in {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(ExitCode::SUCCESS)
}

struct Recorder {
    folder: PathBuf,
    sample_rate_hz: f64,
    center_hz: f64,
    /// The newest bytes.
    ring: VecDeque<u8>,
    room: usize,
    /// Bytes still wanted before a case is saved.
    after: Option<usize>,
    files: u32,
}

impl Recorder {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.ring.extend(bytes);
        let room = if self.after.is_some() {
            2 * self.room
        } else {
            self.room
        };
        // Whole samples go, so that the first byte left is an I.
        let surplus = self
            .ring
            .len()
            .saturating_sub(room)
            .next_multiple_of(2)
            .min(self.ring.len());
        self.ring.drain(..surplus);
        if let Some(left) = &mut self.after {
            *left = left.saturating_sub(bytes.len());
            if *left == 0 {
                self.after = None;
                self.save()?;
            }
        }
        Ok(())
    }

    /// A frame has failed just now: save once as much again has come.
    fn case(&mut self) {
        self.after.get_or_insert(self.room);
    }

    fn save(&mut self) -> Result<()> {
        let seconds = self.ring.len() as f64 / 2.0 / self.sample_rate_hz;
        let now = Timestamp::now();
        let start = now
            .checked_sub(SignedDuration::from_secs_f64(seconds))
            .unwrap_or(now);
        let stem = format!(
            "metertap_{}_{:.0}Hz",
            start.strftime("%Y%m%dT%H%M%S%.3fZ"),
            self.center_hz
        );
        let data = self.folder.join(format!("{stem}.sigmf-data"));
        write(&data, self.ring.make_contiguous())?;
        let meta = self.folder.join(format!("{stem}.sigmf-meta"));
        let text = sigmf::metadata(self.sample_rate_hz, self.center_hz, start);
        write(&meta, text.as_bytes())?;
        println!("{} ({seconds:.1} s)", meta.display());
        self.ring.clear();
        self.files += 1;
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| path.display().to_string())
}
