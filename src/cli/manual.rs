//! `metertap completions` and `metertap manual`: shell completions and manual pages, generated from the definition of the
//! command line.

use crate::cli::Cli;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Shell to complete for.
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub struct Manual {
    /// Folder for the pages, one for each command.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub fn completions(args: &Completions) -> Result<ExitCode> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "metertap",
        &mut std::io::stdout(),
    );
    Ok(ExitCode::SUCCESS)
}

pub fn manual(args: &Manual) -> Result<ExitCode> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(clap_mangen::generate_to(Cli::command(), folder)?))
        .with_context(|| folder.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
