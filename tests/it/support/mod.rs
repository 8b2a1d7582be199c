//! The program under test and its real peers.
//!
//! Everything that starts `metertap` goes through [`program`], which captures standard error and fails the test on
//! a panic or an unexpected warning.

mod alone;
mod broker;
mod browser;
mod counting_meter;
mod daemon;
#[cfg(feature = "rtlsdr")]
mod dongles;
mod homeassistant;
mod http;
mod listener;
mod nats;
mod p1_bridge;
mod port;
mod program;
mod proxy;
mod pty;
mod small_disk;
mod stderr;
mod terminal;
mod testdata;
mod wait;

pub use alone::run_alone;
pub use broker::{Broker, Subscriber};
pub use browser::Browser;
pub use counting_meter::{CountingMeter, counters, counters_through, number};
pub use daemon::Daemon;
#[cfg(feature = "rtlsdr")]
pub use dongles::Dongles;
pub use homeassistant::{assert_valid, assert_valid_together, rendered, retained_json};
pub use http::{change, exchange, get, json, raw_status};
pub use listener::{Listener, message, street};
pub use nats::Nats;
pub use p1_bridge::P1Bridge;
pub use port::free_port;
pub use program::{Running, assert_each_is_rejected, checked, metertap, program_path, run, stdout_of};
pub use proxy::{acknowledge_twice, pass_on, pass_on_one_way, swallow};
pub use pty::{Pty, scripted};
pub use small_disk::SmallDisk;
pub use stderr::StderrCheck;
pub use terminal::Terminal;
pub use test_needs::needs;
pub use testdata::{
    NO_TIME, STREET, assert_golden, json_lines, root, shared, street_truth, without_origin, write_cu8,
    write_private,
};
pub use wait::{Process, RealTime, signal, tool, wait_for, wait_long_for};
