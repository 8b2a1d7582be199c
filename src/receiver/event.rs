//! Events of a receiver.

use crate::meter::{RadioTelegram, Reading};
use crate::receiver::chip_clocks::ChipClocks;
use crate::status::receiver::ReceiverState;
use anyhow::Result;
use metertap_dsp::Tally;

/// An event of a receiver.
#[derive(Debug)]
pub enum ReceiverEvent {
    /// A message of a meter.
    Reading(Box<Reading>),
    /// A telegram of wireless M-Bus.
    Telegram(Box<RadioTelegram>),
    /// Bytes of a recording read so far.
    Progress(u64),
    /// A live source has changed its state.
    State(Box<ReceiverState>),
    /// The receiver has ended; no event follows. Sent after a panic too, with an error.
    End(End),
}

/// Summary of a receiver that has ended.
#[derive(Debug)]
pub struct End {
    /// Counts of the demodulator; of a live source, since its rate last changed.
    pub tally: Tally,
    /// Frames with a good check that were not a message.
    pub refused: u64,
    /// Noise power of the window, full scale = 0 dB.
    pub noise_dbfs: f32,
    /// Chip clocks of the meters received.
    pub chips: ChipClocks,
    /// Error that ended the receiver; `Ok` at the end of a recording and after [`crate::receiver::Radio`] was stopped.
    pub result: Result<()>,
}

impl End {
    /// Returns the end of a receiver that has failed before it could count anything.
    pub fn failed(error: anyhow::Error) -> Self {
        End {
            tally: Tally::default(),
            refused: 0,
            noise_dbfs: f32::NEG_INFINITY,
            chips: ChipClocks::default(),
            result: Err(error),
        }
    }
}
