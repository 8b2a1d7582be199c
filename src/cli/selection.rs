//! rtlamr's flags that say which messages are wanted.

use crate::meter::default_kinds;
use crate::meter::filter::Filter;
use clap::Args;
use metertap_decode::ert::{Kind, KindError};
use std::str::FromStr;

/// Which messages.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which messages (as in rtlamr)")]
pub struct Wanted {
    /// Message types, comma-separated: scm, scm+, idm, netidm, r900, r900bcd; `all` = scm,scm+,idm,r900.
    /// By default all but r900bcd, each frame as the one that it is.
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    msgtype: Vec<MsgType>,
    /// Only these meter ids, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    filterid: Vec<u32>,
    /// Only these meter types, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    filtertype: Vec<u8>,
    /// Drop a message that equals the last one of its meter.
    #[arg(long)]
    unique: bool,
    /// Stop after one message, or after one of each id in --filterid.
    #[arg(long)]
    single: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum MsgType {
    All,
    One(Kind),
}

impl FromStr for MsgType {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, KindError> {
        if name.eq_ignore_ascii_case("all") {
            return Ok(MsgType::All);
        }
        name.parse().map(MsgType::One)
    }
}

impl Wanted {
    /// Kinds of message to look for.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.msgtype.is_empty() {
            return default_kinds();
        }
        let mut kinds = Vec::new();
        for wish in &self.msgtype {
            match wish {
                MsgType::All => kinds.extend([Kind::Scm, Kind::ScmPlus, Kind::Idm, Kind::R900]),
                MsgType::One(kind) => kinds.push(*kind),
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Which of those are passed on.
    pub fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        filter.ids.extend(&self.filterid);
        filter.types.extend(&self.filtertype);
        filter.unique = self.unique;
        filter.single = self.single;
        filter
    }
}
