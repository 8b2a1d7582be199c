//! `metertap run`: the daemon.

use crate::config::ConfigFile;
use crate::daemon;
use crate::status::log_buffer::LogBuffer;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

impl Args {
    /// Arguments that name the configuration file and nothing else.
    pub fn with_config(config: PathBuf) -> Self {
        Args {
            file: ConfigFile::new(config),
        }
    }
}

pub fn run(args: &Args, log: LogBuffer) -> Result<ExitCode> {
    daemon::run(&args.file, log)
}
