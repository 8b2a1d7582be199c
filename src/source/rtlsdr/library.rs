//! Bindings to librtlsdr, which is loaded when a dongle is opened: everything else runs without it.
//!
//! The prototypes are those of `rtl-sdr.h`. This is the only `unsafe` code of the project.
#![allow(unsafe_code)]

use libloading::Library as Shared;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

/// File names of the library: Debian has the first, upstream since 2.0 the second.
const NAMES: [&str; 3] = ["librtlsdr.so.0", "librtlsdr.so.2", "librtlsdr.so"];
/// Size of the string buffers that `rtlsdr_get_device_usb_strings` expects.
const USB_STRING: usize = 256;
/// Room for the gains of a tuner; none has more than 29.
const MAX_GAINS: usize = 128;

#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

type Handle = *mut Opaque;
type Callback = extern "C" fn(*mut u8, u32, *mut c_void);
type Get = unsafe extern "C" fn(Handle) -> c_int;
type Set = unsafe extern "C" fn(Handle, c_int) -> c_int;
type SetUnsigned = unsafe extern "C" fn(Handle, u32) -> c_int;

/// Declares the functions of the library, loaded by name, and keeps the library as long as they live.
macro_rules! functions {
    ($($name:ident: $type:ty = $symbol:literal,)*) => {
        struct Functions {
            $($name: $type,)*
            set_bias_tee: Option<Set>,
            _shared: Shared,
        }

        impl Functions {
            fn load(shared: Shared) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of rtl-sdr.h, and the pointers live as long as `_shared`.
                unsafe {
                    Ok(Functions {
                        $($name: *shared.get::<$type>(concat!($symbol, "\0").as_bytes())?,)*
                        // Not in every build of the library.
                        set_bias_tee: shared.get::<Set>(b"rtlsdr_set_bias_tee\0").ok().map(|set| *set),
                        _shared: shared,
                    })
                }
            }
        }
    };
}

functions! {
    get_device_count: unsafe extern "C" fn() -> u32 = "rtlsdr_get_device_count",
    get_device_name: unsafe extern "C" fn(u32) -> *const c_char = "rtlsdr_get_device_name",
    get_device_usb_strings: unsafe extern "C" fn(u32, *mut c_char, *mut c_char, *mut c_char) -> c_int = "rtlsdr_get_device_usb_strings",
    open: unsafe extern "C" fn(*mut Handle, u32) -> c_int = "rtlsdr_open",
    close: Get = "rtlsdr_close",
    set_center_freq: SetUnsigned = "rtlsdr_set_center_freq",
    set_sample_rate: SetUnsigned = "rtlsdr_set_sample_rate",
    get_sample_rate: unsafe extern "C" fn(Handle) -> u32 = "rtlsdr_get_sample_rate",
    set_freq_correction: Set = "rtlsdr_set_freq_correction",
    get_tuner_type: Get = "rtlsdr_get_tuner_type",
    get_tuner_gains: unsafe extern "C" fn(Handle, *mut c_int) -> c_int = "rtlsdr_get_tuner_gains",
    set_tuner_gain_mode: Set = "rtlsdr_set_tuner_gain_mode",
    set_tuner_gain: Set = "rtlsdr_set_tuner_gain",
    set_agc_mode: Set = "rtlsdr_set_agc_mode",
    reset_buffer: Get = "rtlsdr_reset_buffer",
    read_async: unsafe extern "C" fn(Handle, Callback, *mut c_void, u32, u32) -> c_int = "rtlsdr_read_async",
    cancel_async: Get = "rtlsdr_cancel_async",
}

/// Error of the library.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The library is not installed, or lacks a function.
    #[error("librtlsdr cannot be loaded ({0}): install it (Debian: apt install librtlsdr0)")]
    Missing(String),
    /// LIBUSB_ERROR_ACCESS.
    #[error(
        "permission denied: the udev rule for RTL-SDR is missing (it comes with Debian's librtlsdr), or you are not in group plugdev"
    )]
    Permission,
    /// LIBUSB_ERROR_BUSY.
    #[error(
        "in use by another program, or by the kernel's DVB driver (modprobe -r dvb_usb_rtl28xxu; blacklist it for good)"
    )]
    Busy,
    /// LIBUSB_ERROR_NO_DEVICE, and the library's own "no such index".
    #[error("no longer plugged in")]
    Disconnected,
    /// Any other error.
    #[error("librtlsdr cannot {action}: error {code}")]
    Other {
        /// Action that failed.
        action: &'static str,
        /// Value that the library returned.
        code: i32,
    },
}

fn check(action: &'static str, code: c_int) -> Result<(), Error> {
    match code {
        0.. => Ok(()),
        -3 => Err(Error::Permission),
        -6 => Err(Error::Busy),
        -4 => Err(Error::Disconnected),
        _ => Err(Error::Other { action, code }),
    }
}

/// A dongle that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Plugged {
    /// Index, which changes when others are plugged in.
    pub index: u32,
    /// Model, as the library names it.
    pub name: String,
    /// USB manufacturer string; this and the following are empty if another program has the dongle.
    pub manufacturer: String,
    /// USB product string.
    pub product: String,
    /// Serial number; cheap dongles all have 00000001.
    pub serial: String,
}

/// The loaded library.
pub struct Library(Functions);

impl Library {
    /// Finds and loads the library.
    ///
    /// # Errors
    /// Returns [`Error::Missing`] with the reason of the first attempt.
    pub fn load() -> Result<Self, Error> {
        let mut first = None;
        for name in NAMES {
            // SAFETY: loading runs the library's initialisers; librtlsdr and libusb have harmless ones.
            match unsafe { Shared::new(name) }.and_then(Functions::load) {
                Ok(functions) => return Ok(Library(functions)),
                Err(error) => first = first.or(Some(error.to_string())),
            }
        }
        Err(Error::Missing(first.unwrap_or_default()))
    }

    /// Dongles that are plugged in.
    pub fn plugged(&self) -> Vec<Plugged> {
        // SAFETY: the function has no arguments and no preconditions.
        let count = unsafe { (self.0.get_device_count)() };
        (0..count.min(64)).map(|index| self.about(index)).collect()
    }

    fn about(&self, index: u32) -> Plugged {
        let mut strings = [[0 as c_char; USB_STRING]; 3];
        let [manufacturer, product, serial] = &mut strings;
        // SAFETY: the buffers have the length that rtl-sdr.h requires.
        let code = unsafe {
            (self.0.get_device_usb_strings)(
                index,
                manufacturer.as_mut_ptr(),
                product.as_mut_ptr(),
                serial.as_mut_ptr(),
            )
        };
        let [manufacturer, product, serial] =
            strings.map(|string| if code == 0 { text(&string) } else { String::new() });
        // SAFETY: the function returns null or a string that lives as long as the library.
        let name = unsafe {
            let name = (self.0.get_device_name)(index);
            if name.is_null() {
                String::new()
            } else {
                CStr::from_ptr(name).to_string_lossy().into_owned()
            }
        };
        Plugged {
            index,
            name,
            manufacturer,
            product,
            serial,
        }
    }

    /// Opens dongle `index`.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn open(&self, index: u32) -> Result<Dongle<'_>, Error> {
        let mut handle = null_mut();
        // SAFETY: the handle is written to a valid place.
        let code = unsafe { (self.0.open)(&mut handle, index) };
        if code == -1 {
            return Err(Error::Disconnected);
        }
        check("open the dongle", code)?;
        if handle.is_null() {
            return Err(Error::Other {
                action: "open the dongle",
                code,
            });
        }
        Ok(Dongle {
            library: &self.0,
            handle,
        })
    }
}

/// Converts a string that ends with a zero or with the buffer.
fn text(string: &[c_char]) -> String {
    let bytes: Vec<u8> = string.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An open dongle.
pub struct Dongle<'a> {
    library: &'a Functions,
    handle: Handle,
}

// SAFETY: control calls from one thread while another is in read_async are the usual way to use librtlsdr (rtl_tcp does
// so): libusb serializes control transfers, and bulk transfers do not share state with them.
unsafe impl Send for Dongle<'_> {}
// SAFETY: as above.
unsafe impl Sync for Dongle<'_> {}

impl Dongle<'_> {
    /// Sets the sample rate and returns the one that the hardware can do.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_sample_rate(&self, hz: u32) -> Result<u32, Error> {
        // SAFETY: the handle is open.
        unsafe {
            check(
                "set the sample rate",
                (self.library.set_sample_rate)(self.handle, hz),
            )?;
            Ok((self.library.get_sample_rate)(self.handle))
        }
    }

    /// Sets the center frequency.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_center(&self, hz: u32) -> Result<(), Error> {
        // SAFETY: the handle is open.
        check("tune", unsafe { (self.library.set_center_freq)(self.handle, hz) })
    }

    /// Sets the frequency correction, parts per million.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_ppm(&self, ppm: i32) -> Result<(), Error> {
        // SAFETY: the handle is open.
        match unsafe { (self.library.set_freq_correction)(self.handle, ppm) } {
            // The value was already set.
            -2 => Ok(()),
            code => check("set the frequency correction", code),
        }
    }

    /// Switches the gain control of the RTL2832.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_digital_agc(&self, on: bool) -> Result<(), Error> {
        // SAFETY: the handle is open.
        check("set the digital AGC", unsafe {
            (self.library.set_agc_mode)(self.handle, on.into())
        })
    }

    /// Switches the automatic gain control of the tuner on.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_auto_gain(&self) -> Result<(), Error> {
        // SAFETY: the handle is open.
        check("set the gain mode", unsafe {
            (self.library.set_tuner_gain_mode)(self.handle, 0)
        })
    }

    /// Sets the gain nearest to `tenths` of a dB and returns it.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_gain(&self, tenths: i32) -> Result<i32, Error> {
        let gains = self.gains();
        let nearest = gains.iter().copied().min_by_key(|gain| (gain - tenths).abs());
        let gain = nearest.unwrap_or(tenths);
        // SAFETY: the handle is open.
        unsafe {
            check(
                "set the gain mode",
                (self.library.set_tuner_gain_mode)(self.handle, 1),
            )?;
            check("set the gain", (self.library.set_tuner_gain)(self.handle, gain))?;
        }
        Ok(gain)
    }

    /// Gains of the tuner, in tenths of a dB.
    pub fn gains(&self) -> Vec<i32> {
        let mut gains = [0; MAX_GAINS];
        // SAFETY: with null the function only counts.
        let count = unsafe { (self.library.get_tuner_gains)(self.handle, null_mut()) };
        if !(1..=MAX_GAINS as c_int).contains(&count) {
            return Vec::new();
        }
        // SAFETY: there is room for `count`.
        let count = unsafe { (self.library.get_tuner_gains)(self.handle, gains.as_mut_ptr()) };
        gains[..count.clamp(0, MAX_GAINS as c_int) as usize].to_vec()
    }

    /// Name of the tuner chip.
    pub fn tuner(&self) -> &'static str {
        // SAFETY: the handle is open.
        match unsafe { (self.library.get_tuner_type)(self.handle) } {
            1 => "E4000",
            2 => "FC0012",
            3 => "FC0013",
            4 => "FC2580",
            5 => "R820T",
            6 => "R828D",
            _ => "unknown tuner",
        }
    }

    /// Switches the power of an antenna amplifier; returns false if this build of the library cannot.
    ///
    /// # Errors
    /// Returns the error of the library.
    pub fn set_bias_tee(&self, on: bool) -> Result<bool, Error> {
        let Some(set) = self.library.set_bias_tee else {
            return Ok(false);
        };
        // SAFETY: the handle is open.
        check("switch the bias tee", unsafe { set(self.handle, on.into()) })?;
        Ok(true)
    }

    /// Reads until [`Dongle::cancel`] or until the dongle is lost, which the library does not always distinguish, and
    /// passes the bytes of each USB transfer to `receive`. `buffers` transfers of `bytes` are queued (0, 0: the library's
    /// own choice).
    ///
    /// # Errors
    /// Returns the error of the library if reading cannot begin or ends with an error.
    pub fn read(&self, buffers: u32, bytes: u32, mut receive: impl FnMut(&[u8])) -> Result<(), Error> {
        extern "C" fn callback(bytes: *mut u8, len: u32, context: *mut c_void) {
            if bytes.is_null() {
                return;
            }
            // SAFETY: `context` is the `&mut dyn FnMut` below, which outlives the call that passes it, and
            // only this thread calls; the library owns `len` bytes until we return.
            unsafe {
                let receive = &mut *context.cast::<&mut dyn FnMut(&[u8])>();
                receive(std::slice::from_raw_parts(bytes, len as usize));
            }
        }
        let mut receive: &mut dyn FnMut(&[u8]) = &mut receive;
        let context: *mut &mut dyn FnMut(&[u8]) = &mut receive;
        // SAFETY: the handle is open; see the callback.
        unsafe {
            check("reset the buffers", (self.library.reset_buffer)(self.handle))?;
            let code = (self.library.read_async)(self.handle, callback, context.cast(), buffers, bytes);
            check("read", code)
        }
    }

    /// Ends [`Dongle::read`] on another thread. Has no effect if that has not begun yet, so it must be repeated.
    pub fn cancel(&self) {
        // SAFETY: the handle is open.
        unsafe { (self.library.cancel_async)(self.handle) };
    }
}

impl Drop for Dongle<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle was opened once and is closed once.
        unsafe { (self.library.close)(self.handle) };
    }
}
