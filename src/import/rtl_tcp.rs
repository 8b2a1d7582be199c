//! Options of rtl_tcp, which other programs start with a command line of their own.

use crate::config::SectionDraft;
use std::str::FromStr;

/// Adds the keys of a `[[radio]]` that stand for the options in `command`, such as `rtl_tcp -g 40 -p -3`.
pub(super) fn add_options<'a>(radio: SectionDraft<'a>, command: &str) -> SectionDraft<'a> {
    radio
        .optional("gain", option::<f64>(command, "-g"))
        .optional(
            "ppm",
            option::<i64>(command, "-P").or(option(command, "-p").filter(|ppm| is_ppm(*ppm))),
        )
        .optional("sample_rate", option::<i64>(command, "-s"))
        .optional("center_freq", option::<i64>(command, "-f"))
}

/// `-P` is rtl_tcp's correction and `-p` its port, but people use one for the other.
fn is_ppm(number: i64) -> bool {
    (-300..=300).contains(&number)
}

/// Value of an option: the word after it.
fn option<T: FromStr>(command: &str, name: &str) -> Option<T> {
    let mut words = command.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}
