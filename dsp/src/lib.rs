//! Receives utility meters in complex samples: SCM, SCM+, IDM, NetIDM (ERT, Itron) and R900 (Neptune), on every
//! carrier of the window at once.
//!
//! ```text
//!  samples ─▶ search ──segment──▶ lock ──packets──▶ duplicate filter ─▶ Packet
//!               ▲   every carrier,   one carrier: time,     │
//!               │   by energy        phase, soft bits,      │
//!               │   (always)         check (rare)           │
//!               └──── residual after cancellation ◀─ strong ┘
//! ```
//!
//! The crate has no I/O, clock, threads, logging or unsafe code, and allocates nothing after construction.
//! [`Receiver`] does all the work on the calling thread. A program that wants to spread the locks over threads
//! gives a [`Scheduler`] a [`LockExecutor`] of its own; the packets are the same.
//!
//! Meters that are known are received deeper: see [`Expectation`].
//!
//! A [`Packet`] is the bytes of a frame that passed its check. The meaning of the bytes is left to the caller.
//!
//! # Example
//!
//! Demodulating bytes of an RTL-SDR dongle (unsigned 8-bit I and Q), as read from a file or a socket:
//!
//! ```
//! use metertap_dsp::iq::Format;
//! use metertap_dsp::{Config, Packet, Receiver, Trust};
//!
//! # fn main() -> Result<(), metertap_dsp::ConfigError> {
//! let config = Config {
//!     sample_rate_hz: 2_359_296.0,
//!     trust: Trust::Normal,
//!     tentative: false,
//! };
//! let mut receiver = Receiver::new(config)?;
//! let mut packets: Vec<Packet> = Vec::new();
//! let mut samples = Vec::new();
//! # let bytes = example_bytes();
//! for block in bytes.chunks(65_536) {
//!     samples.clear();
//!     Format::Cu8.decode(block, &mut samples);
//!     receiver.push(&samples, |packet| packets.push(*packet));
//! }
//! receiver.flush(|packet| packets.push(*packet));
//!
//! let packet = packets[0];
//! println!("{:?} {:02X?} at {:.0} Hz", packet.protocol, packet.bytes(), packet.signal.offset_hz);
//! # assert_eq!(packets.len(), 1);
//! # assert_eq!(packet.bytes()[9], 42);
//! # assert!((packet.signal.offset_hz - 100e3).abs() < 20.0);
//! # Ok(())
//! # }
//! #
//! # /// One SCM, 100 kHz above the center, 6 dB over the noise of the window.
//! # fn example_bytes() -> Vec<u8> {
//! #     use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips};
//! #     use metertap_dsp::{Protocol, fec};
//! #     let mut frame = [0; 12];
//! #     frame[9] = 42;
//! #     fec::encode(Protocol::Scm, &mut frame);
//! #     let transmission = Transmission {
//! #         chips: chips(Protocol::Scm, &frame, 0),
//! #         start_s: 0.01,
//! #         offset_hz: 100e3,
//! #         phase_rad: 0.0,
//! #         snr_db: 6.0,
//! #         clock_ppm: 0.0,
//! #         keying: Keying::default(),
//! #     };
//! #     let scene = Scene {
//! #         sample_rate_hz: 2_359_296.0,
//! #         samples: 60_000,
//! #         noise: 1.0,
//! #         transmissions: vec![transmission],
//! #     };
//! #     let mut samples = scene.render(&mut Random::new(1));
//! #     samples.iter_mut().for_each(|sample| *sample *= 0.08);
//! #     let mut bytes = Vec::new();
//! #     Format::Cu8.encode(&samples, &mut bytes);
//! #     bytes
//! # }
//! ```
//!
//! # Units
//!
//! Frequencies are in Hz relative to the center of the window where a name ends in `_hz`, and in cycles per sample
//! otherwise. Times are sample numbers, counted from the first sample pushed. Powers are relative to full scale: a
//! complex tone of amplitude 1 has power 1 and 0 dBFS. SNR is the power of the ON carrier over all noise in the
//! window, whose width is the sample rate.
//!
//! # Features
//!
//! `synth`: the modulator (module `synth`), for tests and simulations. Not needed to receive or to [`fec::encode`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bank;
mod baseband;
mod cancel;
mod config;
mod dedup;
mod demod;
mod executor;
mod expect;
pub mod fec;
mod floor;
mod frame;
pub mod iq;
mod lock;
mod outcome;
mod packet;
mod phase;
mod phasor;
mod protocol;
mod receiver;
mod resample;
mod scheduler;
mod search;
mod segment;
mod spectrum;
mod sync;
#[cfg(feature = "synth")]
pub mod synth;
mod tone;
mod track;
pub mod wmbus;

pub use bank::Bandwidth;
pub use config::{Config, ConfigError, Trust, UnknownTrust};
pub use executor::{Inline, LockExecutor};
pub use expect::{Expectation, Expected, MAX_EXPECTATIONS, MAX_RISE};
pub use lock::Locker;
pub use outcome::Outcome;
pub use packet::{Method, Packet, Signal};
pub use protocol::{CHIP_RATE_HZ, Protocol};
pub use receiver::Receiver;
pub use resample::{Resampler, Resampling};
pub use scheduler::{Scheduler, Tally};
pub use search::Searcher;
pub use segment::{Detection, MAX_JOBS, Segment};
pub use spectrum::Spectrum;

/// Sample: in-phase and quadrature, full scale ±1.
pub type Complex32 = num_complex::Complex<f32>;
