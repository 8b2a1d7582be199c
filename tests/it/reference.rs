//! docs/configuration.md is generated from the code that reads the configuration: every key, its type and its
//! documentation comment.

use crate::support::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use syn::{Attribute, Expr, Fields, GenericArgument, Item, ItemStruct, Lit, Meta, PathArguments, Type};

/// Sections of the file: heading, source, structure.
const SECTIONS: [(&str, &str, &str); 13] = [
    ("`[mqtt]`", "src/publish/config.rs", "MqttConfig"),
    (
        "`[mqtt.profile]`, `name = \"smartmeter-reader\"`",
        "src/publish/profiles/smartmeter_reader.rs",
        "SmartmeterReaderConfig",
    ),
    (
        "`[mqtt.profile]`, `name = \"netz-noe\"`",
        "src/publish/profiles/netz_noe.rs",
        "NetzNoeConfig",
    ),
    (
        "`[mqtt.profile]`, `name = \"smartmeter2mqtt\"`",
        "src/publish/profiles/smartmeter2mqtt.rs",
        "Smartmeter2mqttConfig",
    ),
    (
        "`[mqtt.profile]`, `name = \"homie\"`",
        "src/publish/profiles/homie/mod.rs",
        "HomieConfig",
    ),
    (
        "`[homeassistant]`",
        "src/publish/homeassistant/config.rs",
        "HomeAssistantConfig",
    ),
    ("`[[radio]]`", "src/config/radio.rs", "RadioSection"),
    ("`[[wire]]`", "src/config/wire.rs", "WireSection"),
    ("`[wire.dlms]`", "src/config/list.rs", "ListSection"),
    ("`[[meter]]`", "src/config/meter.rs", "MeterSection"),
    ("`[[tariff]]`", "src/config/tariff.rs", "TariffSection"),
    ("`[[output]]`", "src/output/config.rs", "OutputConfig"),
    ("`[web]`", "src/web/config.rs", "WebConfig"),
];

const HEAD: &str = "# Configuration: every key

<!-- Generated from the code that reads it and from testdata/reference: METERTAP_WRITE_GOLDEN=1 cargo test --test it reference -->

[publishing.md](publishing.md), [wires.md](wires.md), [live-radio.md](live-radio.md), [homeassistant.md](homeassistant.md), [web.md](web.md) and
[switching.md](switching.md) explain what belongs together.

The file is TOML. Sections with two brackets, such as `[[radio]]`, may stand there several times. A key that is marked with ● is required.
Environment variables override the file: `METERTAP_MQTT__HOST` is `host` in `[mqtt]`. So does `--set mqtt.host=broker.lan`, which takes precedence over both.

## First level

These keys stand above all sections.

| key | type | default | example | what |
| --- | --- | --- | --- | --- |
| `publish` | `\"all\"`, `\"listed\"` | `\"listed\"` with a `[[meter]]`, otherwise `\"all\"` | `\"listed\"` | Radio meters whose readings are published: all, or those with a `[[meter]]`. |
| `rate` | `\"every\"`, `\"change\"`, seconds | `\"every\"` | `\"change\"` | Publishing rate of meters that have none of their own: every reading, those that differ from the last, or one in this many seconds. |
| `trust` | `\"strict\"`, `\"normal\"`, `\"eager\"` | `\"normal\"` | `\"normal\"` | Evidence that a corrected frame needs to be accepted. |
";

/// Configurations that hold an example of each key.
const EXAMPLES: &str = "testdata/reference";

/// Values of keys whose type in the code does not tell them: section, key, values.
const VALUES: &[(&str, &str, &str)] = &[
    ("mqtt", "host", "text, or a list"),
    ("mqtt", "version", "`\"3.1.1\"`, `5`"),
    ("mqtt", "retain", "`true`, `false`, `\"auto\"`"),
    (
        "mqtt",
        "profile",
        "`\"amr2mqtt\"`, `\"smartmeter-reader\"`, `\"netz-noe\"`, `\"smartmeter2mqtt\"`, `\"homie\"`, or a section",
    ),
    ("mqtt.profile netz-noe", "config_topics", "list of tables"),
    (
        "homeassistant",
        "discovery",
        "`\"device\"`, `\"sensor\"`, `true`, `false`",
    ),
    ("radio", "center_freq", "number, `\"hop\"`"),
    ("radio", "gain", "number, `\"auto\"`, `\"best\"`"),
    (
        "radio",
        "sample_format",
        "`\"cu8\"`, `\"cs8\"`, `\"cs16\"`, `\"cf32\"`",
    ),
    ("radio", "start", "time by RFC 3339"),
    ("wire", "crc", "`\"required\"`, `\"when-present\"`, `\"ignore\"`"),
    ("wire", "zone", "name of a time zone"),
    ("tariff", "time", "list of tables"),
    ("tariff", "registers", "table"),
    ("tariff", "hourly", "table"),
    ("tariff", "export_registers", "table"),
    ("tariff", "export_hourly", "table"),
    (
        "wire",
        "model",
        "`\"302\"`, `\"402\"`, `\"403\"`, `\"601\"`, `\"602\"`, `\"603\"`, `\"382\"`",
    ),
    ("wire", "dlms", "section"),
    ("meter", "id", "number, text"),
    ("meter", "protocol", "text, or a list"),
    ("meter", "commodity", "`\"electric\"`, `\"gas\"`, `\"water\"`"),
    ("meter", "rate", "`\"every\"`, `\"change\"`, seconds"),
    (
        "meter",
        "device_class",
        "`\"energy\"`, `\"gas\"`, `\"water\"`, `\"volume\"`",
    ),
    (
        "output",
        "payload",
        "`\"metertap\"`, `\"rtlamr\"`, `\"smartmeter2mqtt\"`",
    ),
];

#[test]
fn the_reference_is_what_the_code_reads() {
    let mut text = HEAD.to_owned();
    let examples = examples();
    for (heading, path, name) in SECTIONS {
        let source = std::fs::read_to_string(root().join(path)).unwrap();
        let file = syn::parse_file(&source).unwrap();
        let section = section_of(heading);
        write!(
            text,
            "\n## {heading}\n\n{}",
            table(&file.items, name, &section, &examples)
        )
        .unwrap();
    }
    let path = root().join("docs/configuration.md");
    if std::env::var_os("METERTAP_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/configuration.md is not what the code reads: METERTAP_WRITE_GOLDEN=1 writes it anew"
    );
}

#[test]
fn every_example_of_the_reference_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for name in ["mqtt-password", "web-token", "web-password"] {
        write_private(&dir.path().join(name), "correct horse");
    }
    for name in ["grid.key", "grid-auth.key", "water.key"] {
        write_private(&dir.path().join(name), KEY);
    }
    let openssl = tool("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=home",
        ])
        .args(["-keyout", &path("client.key"), "-out", &path("client.pem")])
        .output()
        .unwrap();
    assert!(openssl.status.success());
    std::fs::copy(path("client.pem"), path("ca.pem")).unwrap();
    for (name, text) in example_files() {
        let file = dir.path().join(name);
        write_private(
            &file,
            &text.replace("/etc/metertap", &dir.path().display().to_string()),
        );
        let output = metertap()
            .args(["check", "--config"])
            .arg(&file)
            .env("MQTT_PASSWORD", "secret")
            .env("WEB_TOKEN", "correct horse")
            .env("WEB_PASSWORD", "correct horse")
            .env("GRID_KEY", KEY)
            .env("GRID_AUTH_KEY", KEY)
            .env("WATER_KEY", KEY)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

const KEY: &str = "000102030405060708090A0B0C0D0E0F";

/// Names and texts of the examples, the complete one first.
fn example_files() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(EXAMPLES)).unwrap();
    let mut files: Vec<(String, String)> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort_by_key(|(name, _)| (name != "service.toml", name.clone()));
    files
}

/// Example of each key, by section (such as `mqtt.profile homie`) and key.
fn examples() -> BTreeMap<(String, String), String> {
    let mut examples = BTreeMap::new();
    for (_, text) in example_files() {
        let mut section = String::new();
        for line in text.lines() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
                if section == "mqtt.profile" && key == "name" {
                    section = format!("mqtt.profile {}", value.trim_matches('"'));
                    continue;
                }
                examples
                    .entry((section.clone(), key.to_owned()))
                    .or_insert_with(|| value.to_owned());
            }
        }
    }
    examples
}

/// Name of a section in [`VALUES`] and the examples, from its heading.
fn section_of(heading: &str) -> String {
    let plain: String = heading
        .chars()
        .filter(|letter| !"`[]\"".contains(*letter))
        .collect();
    plain.replace(", name = ", " ")
}

fn table(items: &[Item], name: &str, section: &str, examples: &BTreeMap<(String, String), String>) -> String {
    let words = words_of_enums(items);
    let found = items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == name => Some(item),
        _ => None,
    });
    let ItemStruct { fields, .. } = found.unwrap_or_else(|| panic!("{name} is not there"));
    let Fields::Named(fields) = fields else {
        panic!("{name} has no names");
    };
    let mut text =
        String::from("| key | type | default | example | what |\n| --- | --- | --- | --- | --- |\n");
    for field in &fields.named {
        let serde = serde_of(&field.attrs);
        if serde.contains("skip") {
            continue;
        }
        let key = field.ident.as_ref().unwrap().to_string();
        let (kind, is_optional) = kind_of(&field.ty, &words);
        let is_required = !(is_optional || serde.contains("default"));
        let given = VALUES
            .iter()
            .find(|value| (value.0, value.1) == (section, key.as_str()));
        let kind = given.map_or(kind, |(.., values)| (*values).to_owned());
        let (what, default) = without_default(&what(&key, &field.attrs));
        let (must, default) = match default {
            _ if is_required => (" ●", "required".to_owned()),
            Some(default) => ("", default),
            None => ("", "none".to_owned()),
        };
        let example = examples.get(&(section.to_owned(), key.clone()));
        // A section of its own has the examples of its keys.
        let example = match example {
            Some(example) => format!("`{example}`"),
            None if kind == "section" => String::new(),
            None => panic!("{EXAMPLES} has no example of {key} in [{section}]"),
        };
        writeln!(
            text,
            "| `{key}`{must} | {kind} | {default} | {example} | {what} |"
        )
        .unwrap();
    }
    text
}

/// Splits `Default: …` off a description, up to the end of its sentence.
fn without_default(text: &str) -> (String, Option<String>) {
    let Some((before, after)) = text.split_once("Default: ") else {
        return (text.to_owned(), None);
    };
    let (default, rest) = after
        .split_once(". ")
        .unwrap_or((after.strip_suffix('.').unwrap_or(after), ""));
    (
        format!("{before}{rest}").trim().to_owned(),
        Some(default.to_owned()),
    )
}

/// The words that stand for the variants of each enumeration.
fn words_of_enums(items: &[Item]) -> BTreeMap<String, Vec<String>> {
    let enums = items.iter().filter_map(|item| match item {
        Item::Enum(item) if serde_of(&item.attrs).contains("rename_all") => Some(item),
        _ => None,
    });
    enums
        .map(|item| {
            let is_kebab = serde_of(&item.attrs).contains("kebab-case");
            let words = item.variants.iter().map(|variant| {
                let name = variant.ident.to_string();
                let mut word = String::new();
                for (i, letter) in name.char_indices() {
                    if is_kebab && letter.is_uppercase() && i > 0 {
                        word.push('-');
                    }
                    word.extend(letter.to_lowercase());
                }
                format!("`\"{word}\"`")
            });
            (item.ident.to_string(), words.collect())
        })
        .collect()
}

fn serde_of(attributes: &[Attribute]) -> String {
    let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("serde") => Some(list.tokens.to_string()),
        _ => None,
    });
    lists.collect()
}

/// Documentation comment of a field, in one line.
fn what(key: &str, attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let said = lines.collect::<Vec<_>>().join(" ");
    let other = |end: &str| key.strip_suffix(end).map(str::to_owned);
    match (said.is_empty(), other("_file"), other("_env")) {
        (true, Some(of), _) => format!("`{of}`, from a file of its own."),
        (true, _, Some(of)) => format!("`{of}`, from this variable of the environment."),
        (is_empty, ..) => {
            assert!(!is_empty, "{key} is not described");
            said.replace('|', "\\|")
        }
    }
}

/// Describes the values of a type; true if the key is optional.
fn kind_of(of: &Type, words: &BTreeMap<String, Vec<String>>) -> (String, bool) {
    let Type::Path(path) = of else {
        panic!("an unusual type");
    };
    let last = path.path.segments.last().unwrap();
    let inner = |n: usize| match &last.arguments {
        PathArguments::AngleBracketed(list) => match list.args.iter().nth(n) {
            Some(GenericArgument::Type(inner)) => kind_of(inner, words).0,
            _ => panic!("an unusual argument"),
        },
        _ => panic!("no argument"),
    };
    let name = last.ident.to_string();
    let kind = match name.as_str() {
        "Option" => return (inner(0), true),
        "Vec" => format!("list of {}", inner(0)),
        "BTreeMap" => format!("{} by key", inner(1)),
        "bool" => "`true`, `false`".into(),
        "f64" => "number".into(),
        "i8" | "i32" | "u8" | "u16" | "u32" | "u64" => "whole number".into(),
        "SocketAddr" => "address and port".into(),
        "IpAddr" => "address".into(),
        "PathBuf" => "path".into(),
        "Secret" => "text, kept secret".into(),
        "Url" => "URL".into(),
        _ => words
            .get(&name)
            .map_or_else(|| "text".into(), |words| words.join(", ")),
    };
    (kind, false)
}
