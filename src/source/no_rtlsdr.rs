//! In place of dongles, for a program built without them.

use crate::source::{Info, Pick, Source, Tuning};
use anyhow::{Result, bail};

/// Never made.
pub enum Rtlsdr {}

/// Never made.
pub struct Opened {
    /// The rate.
    pub sample_rate_hz: u32,
    /// Whether the antenna has power.
    pub bias_tee: bool,
    /// The tuner's gains.
    pub gains_tenths: Vec<i32>,
}

impl Rtlsdr {
    /// # Errors
    /// Always.
    pub fn open(_: &Pick, _: &Tuning) -> Result<Self> {
        bail!("this metertap was built without dongles (feature rtlsdr); rtl_tcp:// and recordings work")
    }

    /// What was opened.
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
