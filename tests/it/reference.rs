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

Made of the code that reads it, by `METERTAP_WRITE_GOLDEN=1 cargo test --test it reference`; a test holds it to that. What belongs
together is explained in [publishing.md](publishing.md), [wires.md](wires.md), [live-radio.md](live-radio.md),
[homeassistant.md](homeassistant.md), [web.md](web.md) and [switching.md](switching.md).

A key that is marked with ● must be there. Keys of the first level stand above all sections:

| key | | what |
| --- | --- | --- |
| `publish` | `\"all\"`, `\"listed\"` | Whose readings of the radio are published: all, or those of `[[meter]]`. Without any `[[meter]]` all are. |
| `rate` | `\"every\"`, `\"change\"`, seconds | How often a reading is passed on, where nothing else is said of a meter. |
| `trust` | `\"strict\"`, `\"normal\"`, `\"eager\"` | What must be shown before a corrected frame is believed. |
";

#[test]
fn the_reference_is_what_the_code_reads() {
    let mut text = HEAD.to_owned();
    for (heading, path, name) in SECTIONS {
        let source = std::fs::read_to_string(root().join(path)).unwrap();
        let file = syn::parse_file(&source).unwrap();
        write!(text, "\n## {heading}\n\n{}", table(&file.items, name)).unwrap();
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

fn table(items: &[Item], name: &str) -> String {
    let words = words_of_enums(items);
    let found = items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == name => Some(item),
        _ => None,
    });
    let ItemStruct { fields, .. } = found.unwrap_or_else(|| panic!("{name} is not there"));
    let Fields::Named(fields) = fields else {
        panic!("{name} has no names");
    };
    let mut text = String::from("| key | | what |\n| --- | --- | --- |\n");
    for field in &fields.named {
        let serde = serde_of(&field.attrs);
        if serde.contains("skip") {
            continue;
        }
        let key = field.ident.as_ref().unwrap().to_string();
        let (kind, is_optional) = kind_of(&field.ty, &words);
        let must = if is_optional || serde.contains("default") {
            ""
        } else {
            " ●"
        };
        writeln!(text, "| `{key}`{must} | {kind} | {} |", what(&key, &field.attrs)).unwrap();
    }
    text
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
