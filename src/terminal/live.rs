//! The table, drawn in place while readings come in.

use crate::meter::table::MeterTable;
use crate::status::spectrum;
use crate::terminal::order::Order;
use crate::terminal::{HEADINGS, WIDTHS, cells, text};
use anyhow::{Context, Result};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::widgets::{Gauge, Paragraph, Row, Sparkline, Table};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::io::{IsTerminal, Stdout, Write};
use std::time::{Duration, Instant};

/// Often enough to look alive.
const REDRAW: Duration = Duration::from_millis(100);
/// Lines of a spectrum.
const SPECTRUM: u16 = 3;
/// Decibels from its bottom to its top.
const RANGE_DB: f32 = 30.0;
const UNREADABLE: &str = "cannot draw on this terminal";

/// The live table; left on the screen as a whole at the end.
pub struct Live {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    drawn: Instant,
    title: String,
    order: Order,
    /// Whether keys are listened to.
    keys: Option<Keys>,
    /// What was heard when it was paused.
    frozen: Option<MeterTable>,
    /// The receiver whose spectrum stands above it.
    seen: Option<spectrum::SpectrumBuffer>,
}

/// The terminal hands over every key as it is pressed, until this is dropped.
struct Keys;

impl Keys {
    fn new() -> Option<Self> {
        (std::io::stdin().is_terminal() && enable_raw_mode().is_ok()).then_some(Keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}

impl Live {
    /// Takes the lower part of the terminal.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn new(title: String) -> Result<Self> {
        let rows = ratatui::crossterm::terminal::size().map_or(24, |(_, rows)| rows);
        let options = TerminalOptions {
            viewport: Viewport::Inline(rows.saturating_sub(2).clamp(4, 40)),
        };
        let terminal =
            Terminal::with_options(CrosstermBackend::new(std::io::stdout()), options).context(UNREADABLE)?;
        Ok(Live {
            terminal,
            drawn: Instant::now() - REDRAW,
            title,
            order: Order::default(),
            keys: None,
            frozen: None,
            seen: None,
        })
    }

    /// From now on keys are listened to, if there is a keyboard.
    pub fn listen_to_keys(&mut self) {
        self.keys = Keys::new();
    }

    /// Changes what stands above it.
    pub fn title(&mut self, title: &str) {
        self.title = title.into();
    }

    /// From now on, what this receiver sees stands above it.
    pub fn look(&mut self, view: spectrum::SpectrumBuffer) {
        self.seen = Some(view);
    }

    /// Whether a key has said that it is enough.
    pub fn is_over(&self) -> bool {
        self.order.is_over
    }

    /// Draws, if it is time again. `progress` from 0 to 1, if the end is known.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn draw(&mut self, heard: &MeterTable, progress: Option<f64>) -> Result<()> {
        let is_pressed = self.hear_keys(heard)?;
        if self.drawn.elapsed() < REDRAW && !is_pressed {
            return Ok(());
        }
        self.drawn = Instant::now();
        let shown = self.frozen.as_ref().unwrap_or(heard);
        let row = self.seen.as_ref().and_then(spectrum::SpectrumBuffer::last);
        let spectrum = row.map_or_else(Vec::new, |row| over_noise(&row.dbfs));
        let view = View {
            heard: shown,
            title: &self.title,
            progress,
            order: &self.order,
            has_keys: self.keys.is_some(),
            spectrum: &spectrum,
        };
        self.terminal
            .draw(|frame| view.render(frame))
            .context(UNREADABLE)?;
        Ok(())
    }

    /// True if there was one.
    fn hear_keys(&mut self, heard: &MeterTable) -> Result<bool> {
        let before = self.order.clone();
        while self.keys.is_some() && event::poll(Duration::ZERO).context(UNREADABLE)? {
            if let Event::Key(key) = event::read().context(UNREADABLE)? {
                if key.kind != KeyEventKind::Release {
                    self.order.press(key);
                }
            }
        }
        if self.order.is_paused != before.is_paused {
            self.frozen = self.order.is_paused.then(|| heard.clone());
        }
        Ok(self.order != before)
    }

    /// Replaces the live view by the whole table.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn finish(mut self, heard: &MeterTable) -> Result<()> {
        self.keys = None;
        self.terminal.clear().context(UNREADABLE)?;
        std::io::stdout()
            .write_all(text(heard).as_bytes())
            .context("cannot write to the terminal")
    }
}

/// What is drawn.
struct View<'a> {
    heard: &'a MeterTable,
    title: &'a str,
    progress: Option<f64>,
    order: &'a Order,
    has_keys: bool,
    spectrum: &'a [f32],
}

impl View<'_> {
    fn render(&self, frame: &mut Frame) {
        let has_room = frame.area().height > 12 && !self.spectrum.is_empty();
        let [top, spectrum, middle, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(if has_room { SPECTRUM } else { 0 }),
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
        if has_room {
            let bars = bars(self.spectrum, spectrum);
            frame.render_widget(
                Sparkline::default().data(bars).max(u64::from(8 * SPECTRUM)),
                spectrum,
            );
        }
        self.render_table(frame, middle, bottom);
    }

    fn render_table(&self, frame: &mut Frame, middle: Rect, bottom: Rect) {
        let room = usize::from(middle.height).saturating_sub(1);
        let all = self.order.rows(self.heard);
        let rows = all
            .iter()
            .take(room)
            .map(|(key, entry)| Row::new(cells(key, entry)));
        let headings = HEADINGS.iter().enumerate().map(|(i, heading)| {
            let arrow = if self.order.down { "↓" } else { "↑" };
            let is_sorted = self.has_keys && i == self.order.column;
            format!("{heading}{}", if is_sorted { arrow } else { "" })
        });
        let table = Table::new(rows, WIDTHS.map(Constraint::Length))
            .header(Row::new(headings).style(Style::new().bold()));
        frame.render_widget(table, middle);
        let more = all.len().saturating_sub(room);
        let more = if more > 0 {
            format!("… {more} more · ")
        } else {
            String::new()
        };
        let help = if self.has_keys {
            format!(" · {}", self.order.help())
        } else {
            String::new()
        };
        let summary = format!(
            "{more}{} meters, {} readings{help}",
            self.heard.meters().len(),
            self.heard.readings
        );
        frame.render_widget(Paragraph::new(summary).dim(), bottom);
    }
}

/// What stands out, in dB, from the lowest frequency to the highest.
fn over_noise(dbfs: &[f32]) -> Vec<f32> {
    let mut sorted = dbfs.to_vec();
    sorted.sort_by(f32::total_cmp);
    // Packets are few and narrow: the middle one is noise.
    let noise = sorted.get(dbfs.len() / 2).copied().unwrap_or_default();
    dbfs.iter().map(|db| db - noise).collect()
}

/// One bar a column, the strongest of its bins, in eighths of a line.
fn bars(spectrum: &[f32], area: Rect) -> Vec<u64> {
    let columns = usize::from(area.width).max(1);
    (0..columns)
        .map(|column| {
            let bins = column * spectrum.len() / columns..((column + 1) * spectrum.len()).div_ceil(columns);
            let strongest = spectrum[bins].iter().copied().fold(0.0, f32::max);
            (strongest / RANGE_DB * f32::from(8 * SPECTRUM)) as u64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_any_width_then_a_peak_is_a_bar_of_its_own() {
        let mut spectrum = vec![0.0; 512];
        spectrum[300] = RANGE_DB;
        for width in [1, 7, 80, 600] {
            let bars = bars(&spectrum, Rect::new(0, 0, width, SPECTRUM));
            assert_eq!(bars.len(), usize::from(width));
            assert_eq!(bars.iter().max(), Some(&u64::from(8 * SPECTRUM)), "{width}");
        }
    }
}
