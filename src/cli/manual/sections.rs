//! Sections of the manual pages that do not follow from the definition of the command line.

use clap::Command;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// Examples of the pages: page, command, what it does.
const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "metertap",
        "metertap",
        "Show what is plugged in, and what to type next.",
    ),
    (
        "metertap",
        "metertap init",
        "Write metertap.toml by a conversation.",
    ),
    (
        "metertap",
        "metertap check && metertap doctor",
        "Check the configuration, then devices and broker.",
    ),
    ("metertap", "metertap run", "Receive and publish."),
    (
        "metertap-listen",
        "metertap listen",
        "Show all meters in range of the dongle in a live table.",
    ),
    (
        "metertap-listen",
        "metertap listen --seconds 60 >meters.jsonl",
        "Write the messages of a minute as JSON lines.",
    ),
    (
        "metertap-find",
        "metertap find --reading 48213 --commodity water",
        "Find the water meter whose dial shows 48213.",
    ),
    (
        "metertap-devices",
        "metertap devices",
        "List the dongles, and why one cannot be used.",
    ),
    (
        "metertap-doctor",
        "metertap doctor",
        "Examine all that the configuration names.",
    ),
    (
        "metertap-doctor",
        "metertap doctor --report >report.txt",
        "Write a report for an issue, without passwords, keys, and meter numbers.",
    ),
    (
        "metertap-init",
        "metertap init",
        "Ask for all that cannot be found.",
    ),
    (
        "metertap-init",
        "metertap init --mqtt broker.lan --wire p1=/dev/ttyUSB0 --homeassistant",
        "Write the configuration without a question.",
    ),
    (
        "metertap-import",
        "metertap import --help",
        "List the programs whose settings can be read.",
    ),
    (
        "metertap-check",
        "sudo metertap check",
        "Check the configuration of the service, which only root and metertap may read.",
    ),
    (
        "metertap-health",
        "metertap health --ready",
        "Tell which part of the running daemon does not work.",
    ),
    (
        "metertap-record",
        "metertap record --hard-cases --seconds 600 --out cases",
        "Record the moments around frames that failed, for an issue.",
    ),
    (
        "metertap-scan",
        "metertap scan",
        "Find the center frequency and gain with the most meters.",
    ),
    (
        "metertap-replay",
        "metertap replay night_912.6M_2400k.cu8 --format plain",
        "Decode a recording.",
    ),
    (
        "metertap-run",
        "metertap run --set mqtt.host=broker.lan",
        "Run with another broker than the file names.",
    ),
    (
        "metertap-decode",
        "metertap decode p1 telegram.txt --table",
        "Print the readings of a telegram as a table.",
    ),
    (
        "metertap-mbus-scan",
        "metertap mbus scan --source /dev/ttyUSB1",
        "List the meters on a bus.",
    ),
    (
        "metertap-completions",
        "metertap completions bash >/etc/bash_completion.d/metertap",
        "Install completions for all users of bash.",
    ),
];

const FILES: [(&str, &str); 4] = [
    (
        "./metertap.toml, /etc/metertap/metertap.toml",
        "The configuration: the first of these that exists. metertap.toml(5) describes it.",
    ),
    (
        "/var/lib/metertap",
        "State of the service: history of consumption, readings that wait for the broker, frame counters.",
    ),
    (
        "/run/metertap",
        "Readings under way; they survive a crash of the service.",
    ),
    (
        "/usr/share/doc/metertap",
        "Guides, tables of meters and fields, and an example of the configuration.",
    ),
];

const ENVIRONMENT: [(&str, &str); 6] = [
    (
        "METERTAP_CONFIG",
        "Configuration file, unless --config names one.",
    ),
    (
        "METERTAP_SECTION__KEY",
        "Overrides a key of the configuration: METERTAP_MQTT__PASSWORD is password in [mqtt]. A flag overrides both.",
    ),
    (
        "METERTAP_KEY, METERTAP_AUTH_KEY",
        "Keys of an encrypted telegram, for metertap decode.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Folder of systemd's credentials, in which files such as password_file are looked for.",
    ),
    (
        "STATE_DIRECTORY, RUNTIME_DIRECTORY",
        "Folders that systemd assigns to the service.",
    ),
    (
        "RUST_LOG",
        "Filter of the log, such as debug or metertap=trace; overrides --verbose.",
    ),
];

const EXIT_STATUS: [(&str, &str); 5] = [
    (
        "0",
        "Success. For metertap doctor: no problem was found. For metertap health: metertap works.",
    ),
    (
        "1",
        "It failed, or a problem was found; the reason is on standard error or in the output.",
    ),
    ("2", "The command line is wrong."),
    ("78", "The configuration has mistakes (metertap check)."),
    ("130", "Interrupted by Ctrl-C (metertap replay)."),
];

/// Appends files, environment, exit status, examples and see also to the page `name` of `command`.
pub fn append(name: &str, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    for (heading, entries) in [
        ("FILES", &FILES[..]),
        ("ENVIRONMENT", &ENVIRONMENT[..]),
        ("EXIT STATUS", &EXIT_STATUS[..]),
    ] {
        roff.control("SH", [heading]);
        for (term, text) in entries {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
    }
    let mut examples = EXAMPLES.iter().filter(|(page, ..)| *page == name).peekable();
    if examples.peek().is_some() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (_, line, text) in examples {
        roff.control("TP", []);
        roff.text([bold(*line)]);
        roff.text([roman(*text)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let parent = name.rsplit_once('-').map(|(parent, _)| format!("{parent}(1), "));
    let below = command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help")
        .map(|subcommand| format!("{name}-{}(1), ", subcommand.get_name()));
    let others: String = parent.into_iter().chain(below).collect();
    roff.text([roman(format!("{others}metertap.toml(5)"))]);
    let homepage = env!("CARGO_PKG_HOMEPAGE");
    if !homepage.is_empty() {
        roff.text([roman(homepage)]);
    }
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn given_an_example_then_its_page_exists_and_the_command_line_accepts_it() {
        let mut command = Cli::command();
        command.build();
        for (page, line, _) in EXAMPLES {
            let mut found = &command;
            for name in page.split('-').skip(1) {
                found = found.find_subcommand(name).unwrap();
            }
            assert_eq!(found.get_display_name().unwrap_or(found.get_name()), *page);
            for line in line.split("&&") {
                let words = line.split('>').next().unwrap().split_whitespace();
                let words = words.skip_while(|word| *word == "sudo");
                if let Err(error) = Cli::try_parse_from(words) {
                    assert_eq!(
                        error.kind(),
                        clap::error::ErrorKind::DisplayHelp,
                        "{line}: {error}"
                    );
                }
            }
        }
    }
}
