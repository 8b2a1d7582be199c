//! Stand-in for dongles in a program built without them.

use crate::source::address::DongleSelector;
use crate::source::iq::{Info, Source};
use crate::source::tuning::Tuning;
use anyhow::{Result, bail};

/// Never constructed.
pub enum Rtlsdr {}

/// Never constructed.
pub struct Opened {
    pub name: String,
    pub sample_rate_hz: u32,
    pub bias_tee: bool,
    pub gains_tenths: Vec<i32>,
}

impl Rtlsdr {
    /// # Errors
    /// Always returns an error.
    pub fn open(_: &DongleSelector, _: &Tuning) -> Result<Self> {
        bail!("this metertap was built without dongles (feature rtlsdr); rtl_tcp:// and recordings work")
    }

    pub fn opened(&self) -> &Opened {
        match *self {}
    }
}

impl Source for Rtlsdr {
    fn info(&self) -> &Info {
        match *self {}
    }

    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        match *self {}
    }
}
