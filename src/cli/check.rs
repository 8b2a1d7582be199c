//! `metertap check`: reads the configuration and lists every mistake.

use crate::config::ConfigFile;
use crate::config::Problems;
use anyhow::Result;
use std::process::ExitCode;

/// `EX_CONFIG` of sysexits.h.
const EX_CONFIG: u8 = 78;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.file.config.display();
    let config = match args.file.read() {
        Ok(config) => config,
        Err(error) => match error.downcast_ref::<Problems>() {
            None => return Err(error),
            Some(Problems(problems)) => {
                println!("{shown}");
                for problem in problems {
                    let line = problem
                        .line
                        .map_or_else(String::new, |line| format!("line {line}"));
                    println!("  {line:9} {}", problem.text);
                }
                println!("{} wrong; nothing was started.", problems.len());
                return Ok(ExitCode::from(EX_CONFIG));
            }
        },
    };
    println!(
        "{shown}: {}, {}, {}: all is well. `metertap doctor -c {shown}` looks at the devices.",
        counted(config.radios.len(), "radio"),
        counted(config.ports.len(), "wire"),
        counted(config.meters.len(), "meter")
    );
    if let Some(hint) = config.homeassistant_hint() {
        println!("{hint}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Formats a count and its noun: `1 radio`, `2 radios`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
