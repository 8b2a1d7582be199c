//! Readings on standard output: a live table on a terminal, lines elsewhere.

use crate::format::{LineFormat, ReadingWriter};
use crate::meter::filter::MessageFilter;
use crate::meter::table::MeterTable;
use crate::meter::{RadioTelegram, Reading};
use crate::status::log_buffer::LogBuffer;
use crate::status::spectrum::SpectrumBuffer;
use crate::terminal::LiveTable;
use anyhow::Result;
use std::io::{IsTerminal, Stdout, stdout};

/// Filter and display of readings.
pub struct ReadingDisplay {
    filter: MessageFilter,
    meters: MeterTable,
    output: DisplayOutput,
}

enum DisplayOutput {
    Lines(ReadingWriter<Stdout>),
    Table(Box<LiveTable>),
}

impl ReadingDisplay {
    /// Writes lines of `format`; without one, draws a table titled `title` on a terminal and writes JSON lines elsewhere.
    /// `with_signal` adds the signal to JSON lines.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub fn new(
        format: Option<LineFormat>,
        with_signal: bool,
        title: &str,
        filter: MessageFilter,
    ) -> Result<Self> {
        let output = match format {
            None if stdout().is_terminal() => DisplayOutput::Table(Box::new(LiveTable::new(title.into())?)),
            format => {
                let format = format.unwrap_or(LineFormat::Json);
                DisplayOutput::Lines(ReadingWriter::new(stdout(), format, with_signal))
            }
        };
        Ok(ReadingDisplay {
            filter,
            meters: MeterTable::default(),
            output,
        })
    }

    /// Displays a reading; returns false if the filter drops it.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn add(&mut self, reading: &Reading) -> Result<bool> {
        if !self.filter.accepts(&reading.message) {
            return Ok(false);
        }
        self.meters.add(reading);
        if let DisplayOutput::Lines(lines) = &mut self.output {
            lines.write(reading)?;
        }
        Ok(true)
    }

    /// Displays a telegram; returns false if the filter drops it.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn add_telegram(&mut self, telegram: &RadioTelegram) -> Result<bool> {
        if !self.filter.accepts_telegram(&telegram.bytes) {
            return Ok(false);
        }
        match &mut self.output {
            DisplayOutput::Table(_) => self.meters.add_telegram(telegram),
            DisplayOutput::Lines(lines) => {
                self.meters.readings += 1;
                lines.write_telegram(telegram)?;
            }
        }
        Ok(true)
    }

    /// Redraws the table if it is time. `progress` is from 0 to 1, if the end is known.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub fn draw(&mut self, progress: Option<f64>) -> Result<()> {
        match &mut self.output {
            DisplayOutput::Table(table) => table.draw(&self.meters, progress),
            DisplayOutput::Lines(_) => Ok(()),
        }
    }

    /// Enables the keys of the table.
    pub fn enable_keys(&mut self) {
        if let DisplayOutput::Table(table) = &mut self.output {
            table.enable_keys();
        }
    }

    /// Shows a receiver's spectrum above the table. For lines, no spectrum is computed.
    pub fn show_spectrum(&mut self, spectrum: SpectrumBuffer) {
        if let DisplayOutput::Table(table) = &mut self.output {
            table.show_spectrum(spectrum);
        }
    }

    /// Shows new events of the log above the table.
    pub fn show_log(&mut self, log: LogBuffer) {
        if let DisplayOutput::Table(table) = &mut self.output {
            table.show_log(log);
        }
    }

    /// Changes the title of the table.
    pub fn set_title(&mut self, title: &str) {
        if let DisplayOutput::Table(table) = &mut self.output {
            table.set_title(title);
        }
    }

    /// Returns whether `--single` is satisfied, or the user pressed the key to quit.
    pub fn is_finished(&self) -> bool {
        let quit_requested = matches!(&self.output, DisplayOutput::Table(table) if table.quit_requested());
        quit_requested || self.filter.is_finished()
    }

    /// Number of readings displayed.
    pub fn readings(&self) -> u64 {
        self.meters.readings
    }

    /// Leaves the whole table on the terminal.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub fn finish(self) -> Result<()> {
        match self.output {
            DisplayOutput::Table(table) => table.finish(&self.meters),
            DisplayOutput::Lines(_) => Ok(()),
        }
    }
}
