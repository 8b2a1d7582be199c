//! Live table: redrawn in place while readings come in, with a spectrum above it and keys to sort and filter.

use crate::meter::table::MeterTable;
use crate::status::log_buffer::LogBuffer;
use crate::status::spectrum::SpectrumBuffer;
use crate::terminal::controls::TableControls;
use crate::terminal::{HEADINGS, WIDTHS, columns_within, to_text};
use anyhow::{Context, Result};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::widgets::{Gauge, Paragraph, Row, Sparkline, Table, Widget, Wrap};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::io::{IsTerminal, Stdout, Write};
use std::time::{Duration, Instant};

/// Time between two redraws.
const REDRAW: Duration = Duration::from_millis(100);
/// Height of the spectrum in lines.
const SPECTRUM_LINES: u16 = 3;
/// Height of the spectrum in dB over the noise.
const RANGE_DB: f32 = 30.0;
/// Fewer lines than this have no room for a spectrum.
const MIN_LINES_FOR_SPECTRUM: u16 = 13;
/// Lines of one event of the log at most.
const MAX_LOG_LINES: usize = 4;
/// Levels of a character of the spectrum.
const EIGHTHS: u16 = 8;
const CANNOT_DRAW: &str = "cannot draw on this terminal";

/// Table in the lower part of a terminal.
pub struct LiveTable {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    last_drawn: Instant,
    title: String,
    controls: TableControls,
    /// Present while keys are enabled.
    raw_mode: Option<RawMode>,
    /// Copy of the table that is shown while paused.
    frozen: Option<MeterTable>,
    spectrum: Option<SpectrumBuffer>,
    /// Log, and the number of its newest event that was shown.
    log: Option<(LogBuffer, u64)>,
}

/// Delivery of each key as it is pressed; restored to lines on drop.
struct RawMode;

impl RawMode {
    fn enter() -> Option<Self> {
        (std::io::stdin().is_terminal() && enable_raw_mode().is_ok()).then_some(RawMode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}

impl LiveTable {
    /// Reserves the lower part of the terminal on standard output.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub fn new(title: String) -> Result<Self> {
        let rows = ratatui::crossterm::terminal::size().map_or(24, |(_, rows)| rows);
        let options = TerminalOptions {
            viewport: Viewport::Inline(rows.saturating_sub(2).clamp(4, 40)),
        };
        let terminal =
            Terminal::with_options(CrosstermBackend::new(std::io::stdout()), options).context(CANNOT_DRAW)?;
        Ok(LiveTable {
            terminal,
            last_drawn: Instant::now() - REDRAW,
            title,
            controls: TableControls::default(),
            raw_mode: None,
            frozen: None,
            spectrum: None,
            log: None,
        })
    }

    /// Enables keys, if standard input is a terminal.
    pub fn enable_keys(&mut self) {
        self.raw_mode = RawMode::enter();
    }

    /// Changes the line above the table.
    pub fn set_title(&mut self, title: &str) {
        self.title = title.into();
    }

    /// Shows the spectrum of a receiver above the table.
    pub fn show_spectrum(&mut self, spectrum: SpectrumBuffer) {
        self.spectrum = Some(spectrum);
    }

    /// Shows new events of the log above the table, where they scroll away.
    pub fn show_log(&mut self, log: LogBuffer) {
        self.log = Some((log, 0));
    }

    /// Prints the events of the log since the last call above the table.
    fn print_log(&mut self) -> Result<()> {
        let Some((log, shown)) = &mut self.log else {
            return Ok(());
        };
        let events = log.since(*shown);
        *shown = events.last().map_or(*shown, |event| event.revision);
        for event in events {
            let text = format!("{} {}", event.level, event.text);
            let width = self.terminal.size().map_or(80, |size| size.width).max(1);
            let lines = text
                .chars()
                .count()
                .div_ceil(width.into())
                .clamp(1, MAX_LOG_LINES);
            self.terminal
                .insert_before(lines as u16, |buffer| {
                    Paragraph::new(text)
                        .wrap(Wrap { trim: false })
                        .render(buffer.area, buffer);
                })
                .context(CANNOT_DRAW)?;
        }
        Ok(())
    }

    /// Returns whether the user pressed the key to quit.
    pub fn quit_requested(&self) -> bool {
        self.controls.quit_requested
    }

    /// Handles keys, and redraws after one or when it is time. `progress` is from 0 to 1, if the end is known.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub fn draw(&mut self, meters: &MeterTable, progress: Option<f64>) -> Result<()> {
        let has_changed = self.handle_keys(meters)?;
        if self.last_drawn.elapsed() < REDRAW && !has_changed {
            return Ok(());
        }
        self.last_drawn = Instant::now();
        self.print_log()?;
        let row = self.spectrum.as_ref().and_then(SpectrumBuffer::last);
        let spectrum = row.map_or_else(Vec::new, |row| over_noise(&row.dbfs));
        let view = View {
            meters: self.frozen.as_ref().unwrap_or(meters),
            title: &self.title,
            progress,
            controls: &self.controls,
            has_keys: self.raw_mode.is_some(),
            spectrum: &spectrum,
        };
        self.terminal
            .draw(|frame| view.render(frame))
            .context(CANNOT_DRAW)?;
        Ok(())
    }

    /// Handles the keys pressed since the last call; returns whether they changed anything.
    fn handle_keys(&mut self, meters: &MeterTable) -> Result<bool> {
        let before = self.controls.clone();
        while self.raw_mode.is_some() && event::poll(Duration::ZERO).context(CANNOT_DRAW)? {
            if let Event::Key(key) = event::read().context(CANNOT_DRAW)? {
                if key.kind != KeyEventKind::Release {
                    self.controls.press(key);
                }
            }
        }
        if self.controls.is_paused != before.is_paused {
            self.frozen = self.controls.is_paused.then(|| meters.clone());
        }
        Ok(self.controls != before)
    }

    /// Replaces the live table by the whole table as text.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub fn finish(mut self, meters: &MeterTable) -> Result<()> {
        self.raw_mode = None;
        self.terminal.clear().context(CANNOT_DRAW)?;
        std::io::stdout()
            .write_all(to_text(meters).as_bytes())
            .context("cannot write to the terminal")
    }
}

/// Contents of one frame.
struct View<'a> {
    meters: &'a MeterTable,
    title: &'a str,
    progress: Option<f64>,
    controls: &'a TableControls,
    has_keys: bool,
    /// Decibels over the noise, from the lowest frequency to the highest.
    spectrum: &'a [f32],
}

impl View<'_> {
    fn render(&self, frame: &mut Frame) {
        let shows_spectrum = frame.area().height >= MIN_LINES_FOR_SPECTRUM && !self.spectrum.is_empty();
        let [top, spectrum, middle, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(if shows_spectrum { SPECTRUM_LINES } else { 0 }),
            Constraint::Min(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        match self.progress {
            Some(share) => frame.render_widget(
                Gauge::default()
                    .label(self.title.to_owned())
                    .ratio(share.clamp(0.0, 1.0)),
                top,
            ),
            None => frame.render_widget(Paragraph::new(self.title.to_owned()), top),
        }
        if shows_spectrum {
            let bars = bars(self.spectrum, spectrum);
            frame.render_widget(
                Sparkline::default()
                    .data(bars)
                    .max(u64::from(EIGHTHS * SPECTRUM_LINES)),
                spectrum,
            );
        }
        self.render_table(frame, middle, bottom);
    }

    fn render_table(&self, frame: &mut Frame, middle: Rect, bottom: Rect) {
        let room = usize::from(middle.height).saturating_sub(1);
        let all = self.controls.rows(self.meters);
        let columns = columns_within(middle.width);
        let rows = all
            .iter()
            .take(room)
            .map(|row| Row::new(columns.iter().map(|column| row.cells[*column].clone())));
        let headings = columns.iter().map(|&i| {
            let heading = HEADINGS[i];
            let arrow = if self.controls.is_descending { "↓" } else { "↑" };
            let is_sorted = self.has_keys && i == self.controls.column;
            format!("{heading}{}", if is_sorted { arrow } else { "" })
        });
        let widths = columns.iter().map(|column| Constraint::Length(WIDTHS[*column]));
        let table = Table::new(rows, widths).header(Row::new(headings).style(Style::new().bold()));
        frame.render_widget(table, middle);
        let more = all.len().saturating_sub(room);
        let more = if more > 0 {
            format!("… {more} more · ")
        } else {
            String::new()
        };
        let help = if self.has_keys {
            format!(" · {}", self.controls.help())
        } else {
            String::new()
        };
        let summary = format!(
            "{more}{} meters, {} readings{help}",
            self.meters.count(),
            self.meters.readings
        );
        frame.render_widget(Paragraph::new(summary).dim(), bottom);
    }
}

/// Converts a spectrum in dBFS to dB over its noise, which is its median: packets are few and narrow.
fn over_noise(dbfs: &[f32]) -> Vec<f32> {
    let mut sorted = dbfs.to_vec();
    sorted.sort_by(f32::total_cmp);
    let noise = sorted.get(dbfs.len() / 2).copied().unwrap_or_default();
    dbfs.iter().map(|db| db - noise).collect()
}

/// Heights of the bars, one per column, in eighths of a line: the strongest of the bins of each column.
fn bars(spectrum: &[f32], area: Rect) -> Vec<u64> {
    let columns = usize::from(area.width).max(1);
    (0..columns)
        .map(|column| {
            let bins = column * spectrum.len() / columns..((column + 1) * spectrum.len()).div_ceil(columns);
            let strongest = spectrum[bins].iter().copied().fold(0.0, f32::max);
            (strongest / RANGE_DB * f32::from(EIGHTHS * SPECTRUM_LINES)) as u64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_any_width_then_a_peak_is_a_full_bar() {
        let mut spectrum = vec![0.0; 512];
        spectrum[300] = RANGE_DB;
        for width in [1, 7, 80, 600] {
            let bars = bars(&spectrum, Rect::new(0, 0, width, SPECTRUM_LINES));
            assert_eq!(bars.len(), usize::from(width));
            assert_eq!(
                bars.iter().max(),
                Some(&u64::from(EIGHTHS * SPECTRUM_LINES)),
                "{width}"
            );
        }
    }
}
