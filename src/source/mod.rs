//! Sources of bytes: IQ samples of radios, recordings and the simulator, and what arrives on wires.

mod address;
mod family;
mod gain;
mod iq;
mod levels;
mod live;
#[cfg(not(feature = "rtlsdr"))]
mod no_rtlsdr;
pub mod recording;
pub mod rtl_tcp;
#[cfg(feature = "rtlsdr")]
pub mod rtlsdr;
pub mod simulator;
mod tuning;
pub mod wire;

pub use address::{Address, AddressError, DongleSelector};
pub use family::{Family, UnknownBand};
pub use gain::{R820T_GAINS_TENTHS, find_best};
pub use iq::{Info, Source};
pub use levels::Levels;
pub use live::Live;
pub use recording::Paced;
pub use tuning::{
    Center, Chosen, DEFAULT_CENTER_HZ, DEFAULT_SAMPLE_RATE_HZ, Gain, TuneCommand, Tuning, UnknownGain,
};
