//! Settings of the programs that metertap replaces, read from their own files and written as a configuration.
//!
//! Each program has a file. It takes from the [`Settings`] what it knows; what is left over has no counterpart and is named.

mod amr2mqtt;
mod asyncio_reader;
mod netz_noe;
mod python;
mod rtl_tcp;
mod rtlamr2mqtt;
mod settings;
mod smartmeter2mqtt;
mod smartmeter_reader;
mod wmbusmeters;

pub use settings::SettingsError;

use crate::config::Draft;
use settings::Settings;
use std::path::PathBuf;

/// Program whose settings are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// amr2mqtt or amridm2mqtt: settings.py
    Amr2mqtt,
    /// rtlamr2mqtt: rtlamr2mqtt.yaml
    Rtlamr2mqtt,
    /// smartmeter-reader (Go): smartmeter-config.yml, then its credentials file
    SmartmeterReader,
    /// Reader for Netz NÖ: config.yaml, then data_format.yaml
    NetzNoe,
    /// smartmeter2mqtt: options of its command line, an environment file or compose.yaml
    Smartmeter2mqtt,
    /// wmbusmeters: wmbusmeters.conf, then the files of wmbusmeters.d, or that folder
    Wmbusmeters,
    /// smart-meter-reader (asyncio): settings.toml, then .secrets.toml
    SmartMeterReader,
}

/// File of another program.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it was read, for messages.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Configuration made of the settings of another program.
#[derive(Debug, Default)]
pub struct Imported {
    /// The configuration.
    pub draft: Draft,
    /// What has no counterpart, or is left to the user; each in a sentence.
    pub notes: Vec<String>,
}

impl Imported {
    fn new(program: &str) -> Self {
        Imported {
            draft: Draft::new(&format!(
                "Made by `metertap import` of the settings of {program}. All keys: docs/configuration.md"
            )),
            notes: Vec::new(),
        }
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Names the settings that nobody has taken.
    fn note_left(&mut self, settings: &Settings) {
        for key in settings.left() {
            self.note(format!("{key} has no counterpart in metertap"));
        }
    }
}

/// Reads the settings of `program`. `files` are its files in the order that [`Program`] names, `options` the words of its command line.
///
/// # Errors
/// Returns an error with file, place and remedy if a file cannot be parsed, or a setting has another type than in that program.
pub fn import(program: Program, files: &[Source], options: &[String]) -> Result<Imported, SettingsError> {
    match program {
        Program::Amr2mqtt => amr2mqtt::import(files),
        Program::Rtlamr2mqtt => rtlamr2mqtt::import(files),
        Program::SmartmeterReader => smartmeter_reader::import(files),
        Program::NetzNoe => netz_noe::import(files),
        Program::Smartmeter2mqtt => smartmeter2mqtt::import(files, options),
        Program::Wmbusmeters => wmbusmeters::import(files),
        Program::SmartMeterReader => asyncio_reader::import(files),
    }
}
