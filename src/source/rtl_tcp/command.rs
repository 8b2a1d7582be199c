//! Command numbers of rtl_tcp.c.

pub(super) const SET_FREQUENCY: u8 = 0x01;
pub(super) const SET_SAMPLE_RATE: u8 = 0x02;
pub(super) const SET_GAIN_MODE: u8 = 0x03;
pub(super) const SET_GAIN: u8 = 0x04;
pub(super) const SET_PPM: u8 = 0x05;
pub(super) const SET_AGC: u8 = 0x08;
pub(super) const SET_BIAS_TEE: u8 = 0x0e;
