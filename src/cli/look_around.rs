//! `metertap` without a subcommand: what is here, and what to type next.

use crate::cli::plugged::{dongles, serial_ports};
use crate::config::ConfigFile;
use std::process::ExitCode;

/// Prints what is plugged in, and the next commands.
pub fn run() -> ExitCode {
    println!(
        "metertap {}: receives utility meters by radio and by wire.\n",
        env!("CARGO_PKG_VERSION")
    );
    let found = ConfigFile::found().filter(|_| ConfigFile::untouched_sample().is_none());
    let is_readable = found
        .as_ref()
        .is_some_and(|file| std::fs::File::open(file).is_ok());
    if let Some(file) = found.as_ref().filter(|_| is_readable) {
        let file = file.display();
        println!(
            "The configuration is {file}. Next:\n\n  \
             metertap check      lists mistakes in it\n  \
             metertap doctor     examines dongles, wires and the broker\n  \
             metertap run        receives and publishes\n\n\
             metertap --help lists all commands."
        );
        return ExitCode::SUCCESS;
    }
    let (dongles, ports) = (dongles(), serial_ports());
    if dongles.is_empty() && ports.is_empty() {
        println!(
            "Neither a dongle nor a serial adapter is plugged in, and there is no configuration.\n\n  \
             metertap demo       shows what it would look like: a simulated street, no dongle needed\n  \
             metertap devices    says why a dongle is not seen\n  \
             metertap init       sets up a bridge in the network (tcp://…, rtl_tcp://…)"
        );
        return ExitCode::SUCCESS;
    }
    match &found {
        Some(file) => println!(
            "{} is the service's, which may hold passwords: put sudo before commands that read it.\nPlugged in:\n",
            file.display()
        ),
        None => println!("There is no configuration yet. Plugged in:\n"),
    }
    for (source, name) in &dongles {
        println!("  dongle       {source}  {name}");
    }
    for port in &ports {
        println!("  serial port  {}", port.display());
    }
    println!();
    if !dongles.is_empty() {
        println!(
            "  metertap listen     shows the meters in range, at once and without a configuration; in Europe: metertap listen --band 868\n  \
             metertap find --reading 48213    finds yours by the number on its dial"
        );
    }
    // What only root may read is the service's, of the package.
    let init = if found.is_some() {
        "sudo metertap init"
    } else {
        "metertap init"
    };
    println!(
        "  {init:18}  asks some questions, listens to each port, and writes the configuration\n\n\
         metertap --help lists all commands."
    );
    ExitCode::SUCCESS
}
