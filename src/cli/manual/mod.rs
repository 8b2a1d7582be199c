//! `metertap completions` and `metertap manual`: shell completions and manual pages, generated from the definition of the
//! command line and from the configuration reference.

mod config_page;
mod sections;

use crate::cli::Cli;
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Shell to complete for.
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub struct Manual {
    /// Folder for the pages: one for each command, and metertap.toml.5.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub fn completions(args: &Completions) -> Result<ExitCode> {
    let mut command = without_hidden(Cli::command());
    clap_complete::generate(args.shell, &mut command, "metertap", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}

/// Returns `command` without the subcommands that are not for people; clap's generators for bash and zsh offer them otherwise.
fn without_hidden(command: Command) -> Command {
    let shown: Vec<Command> = command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
        .cloned()
        .collect();
    // Subcommands cannot be removed, so the command is made anew.
    let mut bare = Command::new("metertap")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(shown);
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    bare
}

pub fn manual(args: &Manual) -> Result<ExitCode> {
    let folder = &args.folder;
    let mut command = Cli::command();
    command.build();
    std::fs::create_dir_all(folder)
        .and_then(|()| write_pages(&command, folder))
        .and_then(|()| std::fs::write(folder.join("metertap.toml.5"), config_page::page()))
        .with_context(|| folder.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and of all below it that are for people.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let subcommands = command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help");
    for subcommand in subcommands {
        write_pages(subcommand, folder)?;
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let page = Man::new(command.clone())
        .title(name.clone())
        .source(concat!("metertap ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    page.render(&mut text)?;
    sections::append(&name, command, &mut text)?;
    std::fs::write(folder.join(format!("{name}.1")), text)
}
