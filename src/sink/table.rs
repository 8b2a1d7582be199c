//! A live table of meters on a terminal.

use crate::decode::ert::Kind;
use crate::meter::heard::{Entry, Heard};
use anyhow::{Context, Result};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::widgets::{Gauge, Paragraph, Row, Table};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::io::{Stdout, Write};
use std::time::{Duration, Instant};

/// Often enough to look alive.
const REDRAW: Duration = Duration::from_millis(100);
const HEADINGS: [&str; 7] = [
    "id",
    "type",
    "commodity",
    "consumption",
    "heard",
    "SNR",
    "frequency",
];
const WIDTHS: [u16; 7] = [10, 8, 13, 12, 6, 8, 12];

/// The table, drawn in place while readings come in and left on the screen at the end.
pub struct Live {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    drawn: Instant,
    title: String,
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
        let terminal = Terminal::with_options(CrosstermBackend::new(std::io::stdout()), options)
            .context("cannot draw on this terminal")?;
        Ok(Live {
            terminal,
            drawn: Instant::now() - REDRAW,
            title,
        })
    }

    /// Changes what stands above it.
    pub fn title(&mut self, title: &str) {
        self.title = title.into();
    }

    /// Draws, if it is time again. `progress` from 0 to 1, if the end is known.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn draw(&mut self, heard: &Heard, progress: Option<f64>) -> Result<()> {
        if self.drawn.elapsed() < REDRAW {
            return Ok(());
        }
        self.drawn = Instant::now();
        let title = &self.title;
        self.terminal
            .draw(|frame| render(frame, heard, title, progress))
            .context("cannot draw on this terminal")?;
        Ok(())
    }

    /// Replaces the live view by the whole table.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn finish(mut self, heard: &Heard) -> Result<()> {
        self.terminal.clear().context("cannot draw on this terminal")?;
        std::io::stdout()
            .write_all(text(heard).as_bytes())
            .context("cannot write to the terminal")
    }
}

fn render(frame: &mut Frame, heard: &Heard, title: &str, progress: Option<f64>) {
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(2), Constraint::Length(1)])
            .areas(frame.area());
    match progress {
        Some(share) => frame.render_widget(
            Gauge::default()
                .label(title.to_owned())
                .ratio(share.clamp(0.0, 1.0)),
            top,
        ),
        None => frame.render_widget(Paragraph::new(title.to_owned()), top),
    }
    let room = usize::from(middle.height).saturating_sub(1);
    let rows = heard
        .meters()
        .take(room)
        .map(|(key, entry)| Row::new(cells(key, entry)));
    let table = Table::new(rows, WIDTHS.map(Constraint::Length))
        .header(Row::new(HEADINGS).style(Style::new().bold()));
    frame.render_widget(table, middle);
    let more = heard.meters().len().saturating_sub(room);
    let more = if more > 0 {
        format!("… {more} more · ")
    } else {
        String::new()
    };
    let summary = format!(
        "{more}{} meters, {} readings",
        heard.meters().len(),
        heard.readings
    );
    frame.render_widget(Paragraph::new(summary).dim(), bottom);
}

/// The whole table as text.
pub fn text(heard: &Heard) -> String {
    let line = |cells: [String; 7]| {
        let mut line = String::new();
        for (i, (cell, width)) in cells.into_iter().zip(WIDTHS).enumerate() {
            let width = usize::from(width);
            // Numbers stand right, words left.
            let padded = if matches!(i, 1 | 2) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            };
            line.push_str(&padded);
            line.push_str("  ");
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(HEADINGS.map(str::to_owned));
    for (key, entry) in heard.meters() {
        text += &line(cells(key, entry));
    }
    text + &format!("{} meters, {} readings\n", heard.meters().len(), heard.readings)
}

fn cells(&(id, kind): &(u32, Kind), entry: &Entry) -> [String; 7] {
    let place = match entry.frequency_hz {
        Some(hz) => format!("{:.3} MHz", hz / 1e6),
        None => format!("{:+} kHz", entry.offset_hz / 1000),
    };
    [
        id.to_string(),
        kind.to_string(),
        format!("{} ({})", entry.commodity, entry.meter_type),
        entry.consumption.to_string(),
        entry.times.to_string(),
        format!("{:.1} dB", entry.snr_db),
        place,
    ]
}
