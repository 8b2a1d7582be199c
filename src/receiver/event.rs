//! What receivers and ports report to the daemon.

use crate::meter::{Reading, WireReading};
use crate::status::receiver::ReceiverState;
use anyhow::Result;
use metertap_dsp::Tally;

/// What a receiver says.
#[derive(Debug)]
pub enum ReceiverEvent {
    /// A meter was heard.
    Reading(Box<Reading>),
    /// A meter on a wire has spoken.
    Wire(Box<WireReading>),
    /// So many bytes of a recording have been read.
    Progress(u64),
    /// A live source has changed its state.
    State(Box<ReceiverState>),
    /// It is over.
    End(End),
}

/// How a receiver ended.
#[derive(Debug)]
pub struct End {
    /// Counts of the receiver.
    pub tally: Tally,
    /// Frames with a good check that were no message.
    pub refused: u64,
    /// Noise power of the window.
    pub noise_dbfs: f32,
    /// What went wrong, if anything.
    pub result: Result<()>,
}
