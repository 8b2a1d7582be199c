//! Parse, hand over, exit code.

use clap::Parser;
use metertap::cli::{Cli, run, translate};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = translate(std::env::args_os().collect(), |name| std::env::var(name).ok());
    match run(Cli::parse_from(arguments)) {
        Ok(code) => code,
        // A reader that has had enough (`metertap … | head`) is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metertap: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
