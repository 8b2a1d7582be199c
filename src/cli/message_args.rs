//! rtlamr's flags that select messages.

use crate::meter::default_kinds;
use crate::meter::filter::MessageFilter;
use clap::Args;
use metertap_decode::ert::{Kind, KindError};
use std::str::FromStr;

/// Selection of messages by type, meter id and meter type.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Messages (as in rtlamr)")]
pub struct MessageArgs {
    /// Message types, comma-separated: scm, scm+, idm, netidm, r900, r900bcd, orion, orionendpoint, hotrod, dialog3g; `all` = scm,scm+,idm,r900.
    /// Default: all but r900bcd, each frame as the likeliest type.
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    msgtype: Vec<MessageType>,
    /// Only these meter ids, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    filterid: Vec<u32>,
    /// Only these meter types, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    filtertype: Vec<u8>,
    /// Drop a message that equals the previous one of its meter.
    #[arg(long)]
    unique: bool,
    /// Stop after one message, or after one of each id in --filterid.
    #[arg(long)]
    single: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum MessageType {
    All,
    One(Kind),
}

impl FromStr for MessageType {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, KindError> {
        if name.eq_ignore_ascii_case("all") {
            return Ok(MessageType::All);
        }
        name.parse().map(MessageType::One)
    }
}

impl MessageArgs {
    /// Message types to decode.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.msgtype.is_empty() {
            return default_kinds();
        }
        let mut kinds = Vec::new();
        for message_type in &self.msgtype {
            match message_type {
                MessageType::All => kinds.extend([Kind::Scm, Kind::ScmPlus, Kind::Idm, Kind::R900]),
                MessageType::One(kind) => kinds.push(*kind),
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Filter for decoded messages.
    pub fn filter(&self) -> MessageFilter {
        let mut filter = MessageFilter::default();
        filter.ids.extend(&self.filterid);
        filter.types.extend(&self.filtertype);
        filter.unique = self.unique;
        filter.single = self.single;
        filter
    }
}
