//! What is plugged into this machine: dongles and serial ports.

use std::path::{Path, PathBuf};

/// Names of serial ports that stay the same when an adapter is plugged in again.
const BY_ID: &str = "/dev/serial/by-id";
/// Ports of the mainboard, such as those on the header of a Raspberry Pi; they are there even if nothing is connected.
const ONBOARD: [&str; 2] = ["/dev/ttyAMA0", "/dev/serial0"];
/// Folder with serial ports, instead of the real ones; for tests.
const FOLDER_VARIABLE: &str = "METERTAP_SERIAL_FOLDER";

/// Serial ports, sorted by name: those of adapters; without any, those of the mainboard.
pub fn serial_ports() -> Vec<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| Path::new(BY_ID).to_owned(), PathBuf::from);
    let entries = std::fs::read_dir(&folder).into_iter().flatten();
    let mut ports: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if ports.is_empty() && std::env::var_os(FOLDER_VARIABLE).is_none() {
        let onboard = ONBOARD.iter().map(PathBuf::from);
        ports.extend(onboard.filter(|port| port.exists()).take(1));
    }
    ports.sort();
    ports
}

/// Sources of the dongles, such as `rtlsdr:00000042`, each with its name. An empty list if librtlsdr is missing.
pub fn dongles() -> Vec<(String, String)> {
    #[cfg(feature = "rtlsdr")]
    {
        use crate::source::rtlsdr::Library;
        let plugged = Library::load()
            .map(|library| library.plugged())
            .unwrap_or_default();
        let mut dongles: Vec<(String, String)> = plugged
            .iter()
            .map(|dongle| (format!("rtlsdr:{}", dongle.serial), dongle.name.clone()))
            .collect();
        // Serial numbers from the factory are often equal: then the index must do.
        let serials: Vec<String> = dongles.iter().map(|(source, _)| source.clone()).collect();
        for (dongle, plugged) in dongles.iter_mut().zip(&plugged) {
            let is_ambiguous =
                plugged.serial.is_empty() || serials.iter().filter(|other| **other == dongle.0).count() > 1;
            if is_ambiguous {
                dongle.0 = format!("rtlsdr:index={}", plugged.index);
            }
        }
        dongles
    }
    #[cfg(not(feature = "rtlsdr"))]
    Vec::new()
}
