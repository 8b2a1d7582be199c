//! Head of a report for an issue: program, system, dongles, configuration.

use super::redaction::Redaction;
use crate::cli::plugged::{dongles, serial_ports};
use std::path::Path;
use toml::Table;

/// Prints the head, and returns what must be replaced in all that follows.
pub fn print(config: Option<&Path>) -> Redaction {
    let features = [
        ("rtlsdr", cfg!(feature = "rtlsdr")),
        ("web", cfg!(feature = "web")),
        ("demo", cfg!(feature = "demo")),
    ];
    let features: Vec<&str> = features
        .into_iter()
        .filter_map(|(name, is_on)| is_on.then_some(name))
        .collect();
    println!(
        "metertap  {} ({}; {})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        features.join(", ")
    );
    let system = rustix::system::uname();
    println!(
        "system    {}, Linux {}",
        distribution(),
        system.release().to_string_lossy()
    );
    let in_container = Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    if in_container {
        println!("          in a container");
    }
    // A serial number identifies a dongle for good; which one it is does not matter to others.
    for (_, name) in dongles() {
        println!("dongle    {name}");
    }
    println!("ports     {} serial", serial_ports().len());
    let Some(path) = config else {
        println!("config    none\n");
        return Redaction::default();
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The text of a file that cannot be parsed cannot be redacted either, so none of it is shown.
    let Ok(table) = text.parse::<Table>() else {
        println!("config    not shown: it cannot be read, or is not TOML (metertap check says where)\n");
        return Redaction::all();
    };
    let (redaction, shown) = Redaction::of(&table);
    println!("config\n");
    for line in toml::to_string(&shown).unwrap_or_default().lines() {
        println!("    {line}");
    }
    println!();
    redaction
}

/// Name of the distribution.
fn distribution() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || "unknown distribution".to_owned(),
        |name| name.trim_matches('"').to_owned(),
    )
}
