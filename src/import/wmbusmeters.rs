//! wmbusmeters: `wmbusmeters.conf`, and a file for each meter in `wmbusmeters.d`.

use crate::import::settings::SettingsError;
use crate::import::{Imported, Source};
use crate::publish::message::is_topic;

/// Settings that metertap does not need: it logs, supervises its dongle and drops duplicates by itself.
const NEEDLESS: [&str; 10] = [
    "loglevel",
    "logfile",
    "logtelegrams",
    "format",
    "ignoreduplicates",
    "resetafter",
    "donotprobe",
    "logtimestamps",
    "logsummary",
    "listento",
];
/// Receivers with a protocol of their own, which metertap does not speak.
const OTHER_RECEIVERS: [&str; 6] = ["im871a", "iu880b", "iu891a", "amb8465", "amb3665", "rc1180"];

/// `KEY=VALUE` lines of a file; a key may come several times.
struct Lines<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Lines<'a> {
    fn of(file: &'a Source) -> Self {
        let lines = file.text.lines().map(str::trim);
        let pairs = lines
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='));
        Lines(pairs.map(|(key, value)| (key.trim(), value.trim())).collect())
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// Returns true for the file of a meter.
    fn is_meter(&self) -> bool {
        self.get("id").is_some() || self.get("driver").is_some()
    }
}

pub(super) fn import(files: &[Source]) -> Result<Imported, SettingsError> {
    if files.is_empty() {
        return Err(SettingsError::Missing(
            "expected /etc/wmbusmeters.conf, and the files of /etc/wmbusmeters.d".into(),
        ));
    }
    let mut imported = Imported::new("wmbusmeters");
    let all: Vec<(&Source, Lines)> = files.iter().map(|file| (file, Lines::of(file))).collect();
    for (_, lines) in all.iter().filter(|(_, lines)| !lines.is_meter()) {
        general(lines, &mut imported);
    }
    let mut meters = 0;
    for (file, lines) in all.iter().filter(|(_, lines)| lines.is_meter()) {
        meters += 1;
        one_meter(file, lines, &mut imported)?;
    }
    if meters == 0 {
        imported.note("no meter is among the files: name those of wmbusmeters.d as well");
    }
    imported.note("drivers are not needed: every meter that sends ordinary records is read; docs/wmbus.md");
    Ok(imported)
}

fn general(lines: &Lines, imported: &mut Imported) {
    let shells: Vec<&str> = lines
        .0
        .iter()
        .filter(|(key, _)| *key == "shell")
        .map(|(_, value)| *value)
        .collect();
    match shells.iter().find(|shell| shell.contains("mosquitto_pub")) {
        Some(shell) => broker(shell, imported),
        None => imported.note("no shell line calls mosquitto_pub: write [mqtt] for your broker"),
    }
    let others = shells.iter().filter(|shell| !shell.contains("mosquitto_pub"));
    for other in others {
        // It may hold a password and is not shown.
        let program = other.split_whitespace().next().unwrap_or_default();
        imported.note(format!(
            "a shell line calls {program}: an [[output]] of kind \"http\" or \"file\" may take its place"
        ));
    }
    for (key, value) in &lines.0 {
        match *key {
            "device" => device(value, imported),
            "shell" => {}
            "meterfiles" => imported.note(format!(
                "meterfiles = {value}: an [[output]] of kind \"file\" writes readings"
            )),
            "alarmtimeout" | "alarmshell" | "alarmexpectedactivity" => imported.note(format!(
                "{key} has no counterpart: the state topic of the receiver, and the availability of meters, tell of silence"
            )),
            key if NEEDLESS.contains(&key) => {}
            key => imported.note(format!("{key} has no counterpart in metertap")),
        }
    }
}

/// Options of mosquitto_pub in a shell line.
fn broker(shell: &str, imported: &mut Imported) {
    let words: Vec<&str> = shell
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .collect();
    let option = |short: &str, long: &str| {
        let at = words.iter().position(|word| *word == short || *word == long)?;
        words.get(at + 1).map(|word| (*word).to_owned())
    };
    let port = option("-p", "--port").and_then(|port| port.parse::<u16>().ok());
    let topic = option("-t", "--topic").unwrap_or_default();
    let above = topic
        .split_once("/$METER_")
        .map(|(above, _)| above.to_owned())
        .filter(|above| is_topic(above));
    if !topic.ends_with("/$METER_NAME") {
        imported.note(format!(
            "topic {topic}: metertap publishes on TOPIC/NAME; see [mqtt.profile]"
        ));
    }
    let section = imported
        .draft
        .section("[mqtt]")
        .key("host", option("-h", "--host").unwrap_or("localhost".into()))
        .optional("port", port.map(i64::from))
        .optional("username", option("-u", "--username"))
        .optional("password", option("-P", "--pw"));
    match above.filter(|above| above != "wmbusmeters") {
        None => {
            section.key("profile", "wmbusmeters");
        }
        Some(above) => {
            imported
                .draft
                .section("[mqtt.profile]")
                .key("name", "wmbusmeters")
                .key("topic", above);
        }
    }
    imported.note("topics and keys stay those of wmbusmeters; without profile, metertap has its own and announces meters to Home Assistant");
}

/// A receiver: `rtlwmbus[SERIAL](ppm=17):868.95M:t1,c1`, `auto:t1`, `/dev/ttyUSB0:cul:c1`, `MAIN=/dev/ttyUSB1:mbus:2400`.
fn device(text: &str, imported: &mut Imported) {
    let parts: Vec<&str> = text.split(':').collect();
    let kind = |name: &str| parts.iter().any(|part| part.starts_with(name));
    if let Some(other) = OTHER_RECEIVERS.iter().find(|other| kind(other)) {
        return imported.note(format!(
            "device = {text}: metertap does not speak the protocol of {other}; use a dongle, or a bridge that publishes telegrams (docs/wmbus.md)"
        ));
    }
    if kind("cul") {
        imported
            .draft
            .section("[[wire]]")
            .key("source", parts[0])
            .key("protocol", "wmbus");
        return imported.note(format!(
            "device = {text}: tell the stick once to listen (docs/wires.md)"
        ));
    }
    if kind("mbus") {
        return imported.note(format!(
            "device = {text}: a wired M-Bus is a [[wire]] with protocol = \"mbus\"; `metertap mbus scan` finds its meters"
        ));
    }
    if !kind("rtlwmbus") && !kind("auto") && !kind("rtl433") {
        return imported.note(format!("device = {text} has no counterpart in metertap"));
    }
    let first = parts[0];
    let between = |open: char, close: char| Some(first.split_once(open)?.1.split_once(close)?.0);
    let source = between('[', ']').map_or("rtlsdr".into(), |serial| format!("rtlsdr:{serial}"));
    let ppm = between('(', ')').and_then(|options| options.strip_prefix("ppm=")?.parse::<i64>().ok());
    imported
        .draft
        .section("[[radio]]")
        .key("source", source)
        .key("band", "868")
        .optional("ppm", ppm);
    if parts
        .iter()
        .any(|part| part.ends_with('M') || part.ends_with("MHz"))
    {
        imported.note(format!(
            "device = {text}: the frequency is not needed, for band = \"868\" hears modes S, T and C at once"
        ));
    }
}

fn one_meter(file: &Source, lines: &Lines, imported: &mut Imported) -> Result<(), SettingsError> {
    let shown = file.path.file_name().unwrap_or_default().to_string_lossy();
    let missing = |key: &str| SettingsError::Missing(format!("{shown}: expected {key} of a meter"));
    let ids = lines.get("id").ok_or_else(|| missing("id"))?;
    let name = lines.get("name").ok_or_else(|| missing("name"))?;
    let key = lines.get("key").filter(|key| !key.is_empty() && *key != "NOKEY");
    for id in ids.split(',').map(str::trim) {
        // A number may be followed by what else the address has to be: 12345678.M=KAM.V=1b.T=16.
        let number = id.split('.').next().unwrap_or(id);
        let is_number = number.len() == 8 && number.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_number {
            imported.note(format!(
                "{shown}: id = {id} is not one meter: `metertap find --band 868` lists those that are heard"
            ));
            continue;
        }
        imported
            .draft
            .section("[[meter]]")
            .key("id", number.to_ascii_uppercase())
            .key("name", name)
            .optional("key", key);
    }
    for (key, _) in &lines.0 {
        if !["id", "name", "key", "driver", "type"].contains(key) {
            imported.note(format!("{shown}: {key} has no counterpart in metertap"));
        }
    }
    Ok(())
}
