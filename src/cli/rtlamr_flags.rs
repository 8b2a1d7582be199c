//! rtlamr's command line: its flags with one dash, its `=true`, its environment, and its name.
//!
//! `metertap listen --rtlamr -format=json -filterid=1`, or `rtlamr -format=json -filterid=1` where `rtlamr` is a link to metertap,
//! is turned into flags of `metertap listen`. Other programs that start rtlamr need no change.

use std::ffi::OsString;

/// Meaning of one of rtlamr's flags here.
#[derive(Clone, Copy)]
enum Meaning {
    /// A flag with this name and the same value.
    Value(&'static str),
    /// A flag with this name that has no value.
    Switch(&'static str),
    /// Host and port of rtl_tcp.
    Server,
    /// Duration as Go writes it.
    Duration,
    /// Samples per bit, of which there are 32 768 a second.
    SymbolLength,
    /// Without effect here; true if it takes a value.
    Ignored(bool),
}

use Meaning::{Duration, Ignored, Server, Switch, SymbolLength, Value};

const FLAGS: [(&str, Meaning); 22] = [
    ("msgtype", Value("msgtype")),
    ("filterid", Value("filterid")),
    ("filtertype", Value("filtertype")),
    ("format", Value("format")),
    ("unique", Switch("unique")),
    ("single", Switch("single")),
    ("server", Server),
    ("duration", Duration),
    ("symbollength", SymbolLength),
    ("centerfreq", Value("center-freq")),
    ("samplerate", Value("sample-rate")),
    ("tunergain", Value("gain")),
    ("freqcorrection", Value("ppm")),
    ("agcmode", Switch("digital-agc")),
    ("tunergainmode", Ignored(false)),
    ("offsettuning", Ignored(false)),
    ("directsampling", Ignored(false)),
    ("testmode", Ignored(false)),
    ("gainbyindex", Ignored(true)),
    ("samplefile", Ignored(true)),
    ("logfile", Ignored(true)),
    ("decimation", Ignored(true)),
];

/// Translates the arguments of the process, the first of which is its name. `variable` returns an environment variable.
pub fn translate(arguments: Vec<OsString>, variable: impl Fn(&str) -> Option<String>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let mut rest: Vec<OsString> = arguments.collect();
    let is_called_rtlamr = std::path::Path::new(&program)
        .file_stem()
        .is_some_and(|name| name == "rtlamr");
    if is_called_rtlamr {
        rest.splice(0..0, ["listen", "--rtlamr"].map(OsString::from));
    }
    let command = rest
        .iter()
        .position(|argument| argument == "listen" || argument == "replay");
    let Some(command) = command else {
        return std::iter::once(program).chain(rest).collect();
    };
    let is_rtlamr = rest.iter().any(|argument| argument == "--rtlamr");
    let (before, flags) = rest.split_at(command + 1);
    let mut translated: Vec<OsString> = vec![program];
    translated.extend_from_slice(before);
    let mut seen = Vec::new();
    let mut flags = flags.iter();
    while let Some(argument) = flags.next() {
        let text = argument.to_str().unwrap_or_default();
        let Some((name, meaning, value)) = flag(text) else {
            translated.push(argument.clone());
            continue;
        };
        seen.push(name);
        let takes_value = !matches!(meaning, Switch(_) | Ignored(false));
        let value = match value {
            None if takes_value => flags.next().and_then(|next| next.to_str().map(str::to_owned)),
            value => value.map(str::to_owned),
        };
        translated.extend(meant(meaning, value.as_deref()).map(OsString::from));
    }
    if is_rtlamr {
        for (name, meaning) in FLAGS.iter().filter(|(name, _)| !seen.contains(name)) {
            if let Some(value) = variable(&format!("RTLAMR_{}", name.to_uppercase())) {
                translated.extend(meant(*meaning, Some(&value)).map(OsString::from));
            }
        }
        if !translated
            .iter()
            .any(|argument| argument.to_string_lossy().starts_with("--source"))
        {
            translated.push("--source=rtl_tcp://127.0.0.1:1234".into());
        }
    }
    translated
}

/// Returns rtlamr's flag in an argument with one dash (or with two, if it has `=true` or `=false`), and its value.
fn flag(argument: &str) -> Option<(&'static str, Meaning, Option<&str>)> {
    let (body, has_two) = match argument.strip_prefix("--") {
        Some(body) => (body, true),
        None => (argument.strip_prefix('-')?, false),
    };
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    let (name, meaning) = FLAGS.iter().find(|(flag, _)| *flag == name)?;
    // Our own flags are for clap, unless they are written as only Go does.
    let is_ours = match meaning {
        Value(ours) => ours == name,
        Switch(ours) => ours == name && value.is_none(),
        _ => false,
    };
    (!(has_two && is_ours)).then_some((*name, *meaning, value))
}

fn meant(meaning: Meaning, value: Option<&str>) -> Option<String> {
    let value_or_empty = value.unwrap_or_default();
    match meaning {
        Value(name) => Some(format!("--{name}={value_or_empty}")),
        Switch(name) => match value_or_empty.to_ascii_lowercase().as_str() {
            "" | "1" | "t" | "true" => Some(format!("--{name}")),
            "0" | "f" | "false" => None,
            // Refused by clap, by its name.
            _ => Some(format!("--{name}={value_or_empty}")),
        },
        Server => Some(format!("--source=rtl_tcp://{value_or_empty}")),
        Duration => match seconds(value_or_empty) {
            // rtlamr's default, for ever.
            Some(0.0) => None,
            Some(seconds) => Some(format!("--seconds={seconds}")),
            None => Some(format!("--seconds={value_or_empty}")),
        },
        SymbolLength => Some(match value_or_empty.parse::<u32>() {
            Ok(samples) => format!("--sample-rate={}", u64::from(samples) * 32_768),
            Err(_) => format!("--sample-rate={value_or_empty}"),
        }),
        Ignored(_) => None,
    }
}

/// Parses a duration of Go: `90s`, `1h30m`, `0`.
fn seconds(text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let (mut sum, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, factor) = [("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        sum += number * factor;
        rest = &rest[unit.len()..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str, variables: &[(&str, &str)]) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        let variable = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let translated = translate(arguments, variable);
        let words: Vec<_> = translated.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn given_rtlamrs_habits_then_they_become_our_flags() {
        for (line, expected) in [
            (
                "metertap listen -msgtype=scm -filterid 5,6",
                "metertap listen --msgtype=scm --filterid=5,6",
            ),
            (
                "metertap listen --unique=true -single=false",
                "metertap listen --unique",
            ),
            (
                "metertap -v replay -unique -format=csv a.cu8",
                "metertap -v replay --unique --format=csv a.cu8",
            ),
            (
                "metertap listen -server pi:1234 -duration=1m30s",
                "metertap listen --source=rtl_tcp://pi:1234 --seconds=90",
            ),
            (
                "metertap listen -symbollength=72 -duration 0",
                "metertap listen --sample-rate=2359296",
            ),
            (
                "metertap listen --msgtype scm --source rtlsdr",
                "metertap listen --msgtype scm --source rtlsdr",
            ),
            ("metertap decode -msgtype=scm", "metertap decode -msgtype=scm"),
        ] {
            assert_eq!(translated(line, &[]), expected, "{line}");
        }
    }

    #[test]
    fn given_its_name_then_it_listens_to_rtl_tcp_and_reads_rtlamrs_environment() {
        assert_eq!(
            translated(
                "/usr/bin/rtlamr -format=json",
                &[("RTLAMR_MSGTYPE", "all"), ("RTLAMR_FORMAT", "csv")]
            ),
            "/usr/bin/rtlamr listen --rtlamr --format=json --msgtype=all --source=rtl_tcp://127.0.0.1:1234"
        );
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in [
            ("90s", Some(90.0)),
            ("1h2m", Some(3720.0)),
            ("500ms", Some(0.5)),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
