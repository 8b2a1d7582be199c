//! Output of lines to a rotating file, or to standard output.

use crate::meter::event::ReadingEvent;
use crate::output::queue::{Inbox, Queue};
use crate::output::rotating_file::RotatingFile;
use crate::output::{Output, OutputConfig, Payload};
use crate::runtime::{Component, Context, Limit};
use crate::status::sink::{LossReason, SinkMetrics};
use anyhow::{Context as _, Result};
use std::io::{ErrorKind, Write, stdout};
use std::sync::Arc;
use std::time::Duration;

/// Pause before a line is tried again, for example while the disk is full.
const RETRY: Duration = Duration::from_secs(1);
/// Size at which a file is rotated, in MiB.
const ROTATE_MB: u32 = 10;
/// Number of old files.
const KEEP: u8 = 5;

/// Running output to a file.
pub(super) struct FileOutput {
    name: String,
    payload: Payload,
    metrics: Arc<SinkMetrics>,
    queue: Queue<String>,
}

impl FileOutput {
    /// Opens the file and starts a thread.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or the thread cannot be created.
    pub fn start(config: &OutputConfig, metrics: Arc<SinkMetrics>, context: &Context) -> Result<Self> {
        let path = config.path.clone().unwrap_or_default();
        let mut target = if path.as_os_str() == "-" {
            Target::Stdout
        } else {
            let limit_bytes = u64::from(config.rotate_mb.unwrap_or(ROTATE_MB)) << 20;
            let shown = format!("output: {}", path.display());
            let file = RotatingFile::open(path, limit_bytes, config.keep.unwrap_or(KEEP));
            Target::File(file.context(shown)?)
        };
        let queue = Queue::start(context, metrics.clone(), move |inbox| run(&inbox, &mut target))
            .context("cannot start a thread")?;
        Ok(FileOutput {
            name: context.name().to_owned(),
            payload: config.payload,
            metrics,
            queue,
        })
    }
}

impl Component for FileOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        self.queue.close();
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.finish(&Limit::within(within))
    }
}

impl Output for FileOutput {
    fn publish(&mut self, event: &Arc<ReadingEvent>) {
        if let Some(line) = self.payload.line(event) {
            self.queue.put(line.into_owned());
        }
    }

    fn finish(self: Box<Self>, limit: &Limit) -> bool {
        self.queue.join(limit)
    }

    fn metrics(&self) -> &Arc<SinkMetrics> {
        &self.metrics
    }
}

/// Writes all lines in order. One that cannot be written is tried again, except that a closed pipe ends the output.
fn run(inbox: &Inbox<String>, target: &mut Target) {
    while let Some(line) = inbox.next() {
        while let Err(error) = inbox.attempt(|| target.write(&line)) {
            let is_closed = matches!(target, Target::Stdout) && error.kind() == ErrorKind::BrokenPipe;
            let error = if is_closed {
                "the reader of standard output is gone; nothing more is written".into()
            } else {
                error.to_string()
            };
            inbox.metrics.set_trouble(Some(error));
            if is_closed || !inbox.pause(RETRY) {
                let reason = match is_closed {
                    true => LossReason::ReaderGone,
                    false => LossReason::Stopped,
                };
                inbox.metrics.lost(reason, 1);
                return inbox.discard_all(reason);
            }
        }
        inbox.metrics.set_trouble(None);
        inbox.metrics.delivered();
    }
}

enum Target {
    Stdout,
    File(RotatingFile),
}

impl Target {
    fn write(&mut self, line: &str) -> std::io::Result<()> {
        match self {
            Target::Stdout => {
                let mut stdout = stdout().lock();
                writeln!(stdout, "{line}")?;
                stdout.flush()
            }
            Target::File(file) => file.write(line),
        }
    }
}
