//! Readings for people and scripts: a live table on a terminal, lines elsewhere.

use crate::format::{Format, Lines};
use crate::meter::Reading;
use crate::meter::filter::Filter;
use crate::meter::table::MeterTable as Meters;
use crate::status::spectrum::SpectrumBuffer;
use crate::terminal::Live;
use anyhow::Result;
use std::io::{IsTerminal, Stdout, stdout};

/// Where readings are shown, and which.
pub struct Show {
    filter: Filter,
    meters: Meters,
    out: Out,
}

enum Out {
    Lines(Lines<Stdout>),
    Table(Box<Live>),
}

impl Show {
    /// Lines of `format`; without one a table titled `title` on a terminal, and JSON lines elsewhere.
    ///
    /// # Errors
    /// Where the terminal cannot be had.
    pub fn new(format: Option<Format>, signal: bool, title: &str, filter: Filter) -> Result<Self> {
        let out = match format {
            None if stdout().is_terminal() => Out::Table(Box::new(Live::new(title.into())?)),
            format => Out::Lines(Lines::new(stdout(), format.unwrap_or(Format::Json), signal)),
        };
        Ok(Show {
            filter,
            meters: Meters::default(),
            out,
        })
    }

    /// Shows a reading; false if it is not wanted.
    ///
    /// # Errors
    /// Where standard output cannot be written to.
    pub fn take(&mut self, reading: &Reading) -> Result<bool> {
        if !self.filter.pass(&reading.message) {
            return Ok(false);
        }
        self.meters.add(reading);
        if let Out::Lines(lines) = &mut self.out {
            lines.write(reading)?;
        }
        Ok(true)
    }

    /// Draws the table anew, if there is one and it is time. `progress` from 0 to 1, if the end is known.
    ///
    /// # Errors
    /// Where the terminal cannot be drawn on.
    pub fn draw(&mut self, progress: Option<f64>) -> Result<()> {
        match &mut self.out {
            Out::Table(live) => live.draw(&self.meters, progress),
            Out::Lines(_) => Ok(()),
        }
    }

    /// From now on the table listens to keys.
    pub fn listen_to_keys(&mut self) {
        if let Out::Table(live) = &mut self.out {
            live.listen_to_keys();
        }
    }

    /// From now on, what a receiver sees stands above the table; for lines nothing is computed.
    pub fn look(&mut self, view: SpectrumBuffer) {
        if let Out::Table(live) = &mut self.out {
            live.look(view);
        }
    }

    /// Changes what stands above the table; lines go without.
    pub fn title(&mut self, title: &str) {
        if let Out::Table(live) = &mut self.out {
            live.title(title);
        }
    }

    /// Whether `--single` has had enough, or who presses keys.
    pub fn done(&self) -> bool {
        self.filter.done() || matches!(&self.out, Out::Table(live) if live.is_over())
    }

    /// Readings shown so far.
    pub fn readings(&self) -> u64 {
        self.meters.readings
    }

    /// Leaves the whole table on the terminal.
    ///
    /// # Errors
    /// Where it cannot be written to.
    pub fn finish(self) -> Result<()> {
        match self.out {
            Out::Table(live) => live.finish(&self.meters),
            Out::Lines(_) => Ok(()),
        }
    }
}
