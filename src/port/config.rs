//! Configuration of a port as plain data.

use crate::port::mbus_poll::Address;
use crate::port::{DlmsOptions, P1Options};
use crate::source::wire::{Line, WireAddress};
use metertap_decode::time::Zone;
use std::time::Duration;

/// A port of the configuration; equal to another one if nothing of it has changed, keys included.
#[derive(Clone, Debug, PartialEq)]
pub struct PortConfig {
    /// Name in topics, logs and on the page.
    pub name: String,
    /// Origin of the bytes.
    pub address: WireAddress,
    /// Line settings that are tried in turn; at least one.
    pub lines: Vec<Line>,
    /// Interval between telegrams, if known.
    pub period: Option<Duration>,
    /// Time for a polled meter to begin its answer, if it is not that of the protocol.
    pub answer_timeout: Option<Duration>,
    /// Protocol of the meter, and what it needs.
    pub protocol: PortProtocol,
}

impl PortProtocol {
    /// Returns true if the bytes are lines of hex digits, whatever they are read from.
    pub fn is_hex_text(&self) -> bool {
        matches!(self, PortProtocol::Wmbus)
    }
}

/// Protocol of the meter on a port.
#[derive(Clone, Debug, PartialEq)]
pub enum PortProtocol {
    /// P1 telegrams, pushed.
    P1(P1Options),
    /// DLMS/COSEM messages, pushed.
    Dlms(DlmsOptions),
    /// SML files, pushed.
    Sml,
    /// Telegrams of wireless M-Bus from another receiver, pushed.
    Wmbus,
    /// TIC frames, pushed; the time zone is that of the meter.
    Tic(Zone),
    /// A meter that is read by IEC 62056-21, polled.
    Iec {
        /// Interval between two readouts; `None` for that of the meter's kind.
        every: Option<Duration>,
        /// Time zone of the meter.
        zone: Zone,
    },
    /// Meters on a wired M-Bus, polled.
    Mbus {
        /// Interval between two rounds.
        every: Duration,
        /// Meters, in the order in which they are asked.
        addresses: Vec<Address>,
    },
    /// A Kamstrup meter, polled.
    Kmp {
        /// Interval between two rounds.
        every: Duration,
        /// Numbers of the registers to read.
        registers: Vec<u16>,
    },
}
