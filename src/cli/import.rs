//! `metertap import`: writes a configuration from the settings of the program that metertap replaces.

use crate::config::ConfigFile;
use crate::import::{Program, Source, import};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Size of a file of settings, at most: they have a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Program that was used before.
    program: Program,
    /// Its files.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Configuration to write; `-` for standard output.
    #[arg(short, long, value_name = "FILE", default_value = "metertap.toml")]
    out: PathBuf,
    /// Options of its command line (smartmeter2mqtt).
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.out.display();
    let to_stdout = args.out.as_os_str() == "-";
    if !to_stdout && args.out.exists() {
        bail!("{shown} is there already: use --out to write another file, or --out - to look at it first");
    }
    if !args.options.is_empty() && args.program != Program::Smartmeter2mqtt {
        bail!("only smartmeter2mqtt has options on its command line that are imported");
    }
    let mut files = Vec::new();
    for path in &args.files {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file())
                .collect();
            inside.sort();
            files.extend(inside.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?);
        } else {
            files.push(read(path)?);
        }
    }
    let imported = import(args.program, &files, &args.options)?;
    let text = imported.draft.text();
    if to_stdout {
        print!("{text}");
    } else {
        // Only the owner may read it: it may hold a password.
        let mut options = std::fs::OpenOptions::new();
        let file = options.mode(0o600).write(true).create_new(true).open(&args.out);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| shown.to_string())?;
    }
    // The notes do not belong into a file that is written to standard output.
    eprint!("{}", report(args, &imported.notes, text));
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Source> {
    let shown = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(shown)?.len();
    if size > MAX_BYTES {
        bail!(
            "{}: expected a file of settings, found {size} bytes",
            path.display()
        );
    }
    Ok(Source {
        path: path.to_owned(),
        text: std::fs::read_to_string(path).with_context(shown)?,
    })
}

/// What was not imported, what must be corrected by hand, and what comes next.
fn report(args: &Args, notes: &[String], text: &str) -> String {
    let shown = args.out.display();
    let mut report = String::new();
    if args.out.as_os_str() != "-" {
        let _ = writeln!(report, "{shown} is written.");
    }
    for note in notes {
        let _ = writeln!(report, "  - {note}");
    }
    if let Err(problems) = ConfigFile::new(args.out.clone()).check(text) {
        for problem in problems.0 {
            let _ = writeln!(report, "  - to correct: {problem}");
        }
    }
    if args.out.as_os_str() != "-" {
        let _ = writeln!(
            report,
            "Stop the other program first: it holds the dongle or the port. Then: metertap check -c {shown}, metertap doctor -c {shown}, metertap run -c {shown}"
        );
    }
    report
}
