//! Integration tests: the real binary, run against real peers (brokers, ptys, browsers, a fake librtlsdr).
//!
//! One binary for all of them, so that the program is linked once.

mod support;

mod america_fsk;
mod architecture;
mod asking;
mod awaited_meters;
mod brokers;
#[cfg(feature = "web")]
mod counters;
#[cfg(feature = "demo")]
mod dashboard;
mod demo;
mod dlms;
mod docs;
mod doctor;
mod errors;
mod ert_recording;
mod expectations;
mod homeassistant;
mod homeassistant_life;
mod iec;
mod import;
#[cfg(feature = "rtlsdr")]
mod init;
mod known_pairs;
#[cfg(feature = "rtlsdr")]
mod live;
mod mbus;
mod mqtt;
mod outages;
mod outputs;
mod p1;
mod packaging;
#[cfg(feature = "rtlsdr")]
mod page;
mod page_details;
mod page_ingress;
mod page_pictures;
mod page_radio;
mod page_speed;
mod page_user;
mod policies;
#[cfg(feature = "web")]
mod prices;
mod profiles;
mod prose;
mod radio_faults;
mod recordings;
mod reference;
mod registers;
mod reload;
mod replay;
mod rtl_tcp;
mod sml;
mod spool;
#[cfg(feature = "rtlsdr")]
mod terminal;
mod tic;
#[cfg(feature = "rtlsdr")]
mod tools;
mod web;
mod wire;
mod wire_keys;
mod wmbus;
mod wmbus_home;
mod wmbus_radio;
mod wmbus_recording;
