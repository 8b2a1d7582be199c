//! `metertap check`: reads the configuration and lists every mistake, then what of this machine does not fit it.

use crate::cli::free_port::try_to_listen;
use crate::config::{Config, ConfigFile, Problems, RadioSource};
use crate::publish::MqttConfig;
use crate::source::wire::WireAddress;
use anyhow::Result;
use rustix::fs::{Access, access};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

/// `EX_CONFIG` of sysexits.h.
const EX_CONFIG: u8 = 78;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.file.config.display();
    let config = match args.file.read() {
        Ok(config) => config,
        Err(error) => match error.downcast_ref::<Problems>() {
            None => return Err(error),
            Some(Problems(problems)) => {
                println!("{shown}");
                for problem in problems {
                    let line = problem
                        .line
                        .map_or_else(String::new, |line| format!("line {line}"));
                    println!("  {line:9} {}", problem.text);
                }
                println!("{} wrong; nothing was started.", problems.len());
                return Ok(ExitCode::from(EX_CONFIG));
            }
        },
    };
    let warnings = surroundings(&config);
    let counts = format!(
        "{shown}: {}, {}, {}",
        counted(config.radios.len(), "radio"),
        counted(config.ports.len(), "wire"),
        counted(config.meters.len(), "meter")
    );
    if warnings.is_empty() {
        println!("{counts}: all is well. `metertap doctor -c {shown}` looks at the devices.");
    } else {
        println!("{counts}: the file is right, but on this machine, for this user, now:");
        for warning in &warnings {
            println!("  warning   {warning}");
        }
        println!("metertap would start without these parts, and try them again until they work.");
    }
    if let Some(hint) = config.homeassistant_hint() {
        println!("{hint}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What keeps parts of the configuration from working here; each in a sentence with its remedy. Nothing is opened that another
/// program could be using: `metertap doctor` does that.
fn surroundings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let of_web = config
        .web
        .iter()
        .map(|web| ("web.listen".to_owned(), web.listen()));
    let of_outputs =
        config.outputs.iter().enumerate().filter_map(|(i, output)| {
            Some((format!("listen of output {}", output.name(i)), output.listen()?))
        });
    let of_radios = config.radios.iter().filter_map(|radio| match &radio.source {
        RadioSource::Live {
            sharing: Some(sharing),
            ..
        } => Some((format!("serve_rtl_tcp of {}", radio.name), sharing.address)),
        _ => None,
    });
    let addresses = of_web.chain(of_outputs).chain(of_radios);
    warnings.extend(addresses.filter_map(|(key, address)| unusable_address(&key, address)));
    let spool = config.mqtt.as_ref().and_then(MqttConfig::spool_path);
    let history = config.web.as_ref().and_then(|web| web.history());
    let of_outputs = config
        .outputs
        .iter()
        .filter_map(|output| Some(("path", output.file()?)));
    let files = spool
        .as_deref()
        .map(|path| ("mqtt.spool", path))
        .into_iter()
        .chain(history.map(|path| ("web.history", path)))
        .chain(of_outputs);
    warnings.extend(files.filter_map(|(key, path)| unusable_file(key, path)));
    let of_ports = config.ports.iter().filter_map(|port| match &port.address {
        WireAddress::Path(path) => Some((&port.name, path)),
        _ => None,
    });
    let of_radios = config.radios.iter().filter_map(|radio| match &radio.source {
        RadioSource::Recording { path, .. } => Some((&radio.name, path)),
        RadioSource::Live { .. } => None,
    });
    let sources = of_ports.chain(of_radios);
    warnings.extend(sources.filter_map(|(name, path)| unusable_source(name, path)));
    warnings
}

fn unusable_address(key: &str, address: SocketAddr) -> Option<String> {
    let problem = try_to_listen(address).err()?;
    Some(format!("{key}: {address}: {}", problem.remedy))
}

/// A file that is written: its folder must be there, and writable.
fn unusable_file(key: &str, path: &Path) -> Option<String> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Some(format!("{key}: {} is a folder: a file is needed", path.display())),
    };
    let shown = folder.display();
    if path.is_dir() {
        Some(format!("{key}: {} is a folder: a file is needed", path.display()))
    } else if !folder.is_dir() {
        Some(format!("{key}: the folder {shown} is missing: mkdir -p {shown}"))
    } else if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        Some(format!(
            "{key}: this user may not write in {shown}: choose another folder, or run metertap as the user that owns it"
        ))
    } else {
        None
    }
}

fn unusable_source(name: &str, path: &Path) -> Option<String> {
    if path.as_os_str() == "-" {
        return None;
    }
    let shown = path.display();
    if !path.exists() {
        let advice = if path.starts_with("/dev") {
            "is it plugged in? ls -l /dev/serial/by-id/"
        } else {
            "is the path right?"
        };
        return Some(format!("{name}: {shown} is not there: {advice}"));
    }
    let advice = if path.starts_with("/dev") {
        "serial ports belong to the group dialout: sudo usermod -aG dialout $USER, then log in again"
    } else {
        "see its permissions"
    };
    let is_denied = access(path, Access::READ_OK).is_err();
    is_denied.then(|| format!("{name}: this user may not read {shown}: {advice}"))
}

/// Formats a count and its noun: `1 radio`, `2 radios`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
