//! A librtlsdr without a dongle: the functions that metertap imports, a recording in place of the antenna, and
//! the ways in which the real one fails.
//!
//! The file named by `FAKE_RTLSDR` says what to do, `key=value` a line, read anew all the time, so that a test
//! can unplug and wedge while metertap runs:
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `serials` | dongles plugged in, comma-separated | none |
//! | `file` | cu8 recording, played over and over | – |
//! | `pace` | times real time | 1 |
//! | `mode` | `run`, `stall` (no samples), `wedge` (no samples, and nothing ever returns), `equal` (all samples 128), `short` (transfers of odd lengths) | `run` |
//! | `only_center` | the recording is heard only when tuned to within 600 kHz of this; elsewhere noise | anywhere |
//! | `full_gain` | tenths of a dB at which the recording is as loud as it is; at other gains it is scaled | any |
//! | `open` | what `rtlsdr_open` returns | 0 |
//! | `lost` | what `rtlsdr_read_async` returns after an unplug | 0 |
//! | `log` | file to which every setter and every search for devices is appended | – |
#![allow(non_snake_case, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int, c_void};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

static CANCEL: AtomicBool = AtomicBool::new(false);
static RATE: AtomicU32 = AtomicU32::new(2_048_000);
static GAIN: AtomicU32 = AtomicU32::new(0);
static CENTER: AtomicU32 = AtomicU32::new(0);
static MANUAL: AtomicBool = AtomicBool::new(false);
static SERIAL: Mutex<String> = Mutex::new(String::new());
const GAINS: [c_int; 29] = [
    0, 9, 14, 27, 37, 77, 87, 125, 144, 157, 166, 197, 207, 229, 254, 280, 297, 328, 338, 364, 372, 386, 402,
    421, 434, 439, 445, 480, 496,
];

fn order(key: &str) -> Option<String> {
    let path = std::env::var("FAKE_RTLSDR").ok()?;
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
}

fn number(key: &str, default: c_int) -> c_int {
    order(key).and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn serials() -> Vec<String> {
    let serials = order("serials").unwrap_or_default();
    serials
        .split(',')
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .collect()
}

fn log(what: &str, value: impl std::fmt::Display) -> c_int {
    if let Some(path) = order("log") {
        if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
            // In one piece: several processes write to one file.
            let _ = file.write_all(format!("{what}={value}\n").as_bytes());
        }
    }
    0
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_get_device_count() -> u32 {
    let count = serials().len() as u32;
    log("devices", count);
    count
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_get_device_name(_: u32) -> *const c_char {
    c"Generic RTL2832U OEM".as_ptr()
}

/// Three buffers of 256, as the real one wants them; each may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rtlsdr_get_device_usb_strings(
    index: u32,
    manufacturer: *mut c_char,
    product: *mut c_char,
    serial: *mut c_char,
) -> c_int {
    let serials = serials();
    let Some(own) = serials.get(index as usize) else {
        return -2;
    };
    for (to, text) in [
        (manufacturer, "Realtek"),
        (product, "RTL2838UHIDIR"),
        (serial, own),
    ] {
        if to.is_null() {
            continue;
        }
        for (i, byte) in text.bytes().take(255).chain([0]).enumerate() {
            // SAFETY: the caller gives 256 bytes.
            unsafe { *to.add(i) = byte as c_char };
        }
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rtlsdr_open(handle: *mut *mut c_void, index: u32) -> c_int {
    let code = number("open", 0);
    if code != 0 {
        return code;
    }
    let serials = serials();
    let Some(serial) = serials.get(index as usize) else {
        return -1;
    };
    if order("mode").as_deref() == Some("wedge") {
        forever();
    }
    *SERIAL.lock().unwrap() = serial.clone();
    // SAFETY: a place for the handle; it is never looked into.
    unsafe { *handle = std::ptr::dangling_mut::<u64>().cast() };
    log("open", serial)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_close(_: *mut c_void) -> c_int {
    if order("mode").as_deref() == Some("wedge") {
        forever();
    }
    log("close", 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_center_freq(_: *mut c_void, hz: u32) -> c_int {
    CENTER.store(hz, Ordering::Relaxed);
    log("center", hz)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_sample_rate(_: *mut c_void, hz: u32) -> c_int {
    if !(225_001..=300_000).contains(&hz) && !(900_001..=3_200_000).contains(&hz) {
        return -22;
    }
    RATE.store(hz, Ordering::Relaxed);
    log("rate", hz)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_get_sample_rate(_: *mut c_void) -> u32 {
    RATE.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_freq_correction(_: *mut c_void, ppm: c_int) -> c_int {
    log("ppm", ppm);
    if ppm == 0 { -2 } else { 0 }
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_get_tuner_type(_: *mut c_void) -> c_int {
    5
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rtlsdr_get_tuner_gains(_: *mut c_void, gains: *mut c_int) -> c_int {
    if !gains.is_null() {
        for (i, gain) in GAINS.iter().enumerate() {
            // SAFETY: the caller asked for the count first.
            unsafe { *gains.add(i) = *gain };
        }
    }
    GAINS.len() as c_int
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_tuner_gain_mode(_: *mut c_void, manual: c_int) -> c_int {
    MANUAL.store(manual != 0, Ordering::Relaxed);
    log("manual_gain", manual)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_tuner_gain(_: *mut c_void, tenths: c_int) -> c_int {
    GAIN.store(tenths as u32, Ordering::Relaxed);
    log("gain", tenths)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_get_tuner_gain(_: *mut c_void) -> c_int {
    GAIN.load(Ordering::Relaxed) as c_int
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_agc_mode(_: *mut c_void, on: c_int) -> c_int {
    log("agc", on)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_set_bias_tee(_: *mut c_void, on: c_int) -> c_int {
    log("bias_tee", on)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_reset_buffer(_: *mut c_void) -> c_int {
    log("reset", 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_cancel_async(_: *mut c_void) -> c_int {
    CANCEL.store(true, Ordering::Relaxed);
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn rtlsdr_read_async(
    _: *mut c_void,
    callback: extern "C" fn(*mut u8, u32, *mut c_void),
    context: *mut c_void,
    _: u32,
    len: u32,
) -> c_int {
    let Some(mut file) = order("file").and_then(|path| std::fs::File::open(path).ok()) else {
        return -5;
    };
    let mut buffer = vec![128u8; if len == 0 { 262_144 } else { len as usize }];
    let mut due = Instant::now();
    let mut sent = 0usize;
    loop {
        if !serials().contains(&SERIAL.lock().unwrap()) {
            return number("lost", 0);
        }
        let mode = order("mode").unwrap_or_default();
        if mode == "wedge" {
            forever();
        }
        if CANCEL.load(Ordering::Relaxed) {
            return 0;
        }
        if mode == "stall" {
            std::thread::sleep(Duration::from_millis(20));
            due = Instant::now();
            continue;
        }
        let part = match mode.as_str() {
            "short" => 1 + (sent * 7919) % buffer.len(),
            _ => buffer.len(),
        };
        if mode == "equal" {
            buffer.fill(128);
        } else if !fill(&mut file, &mut buffer[..part]) {
            return -5;
        }
        let only: i64 = i64::from(number("only_center", 0));
        if only != 0 && (i64::from(CENTER.load(Ordering::Relaxed)) - only).abs() > 600_000 {
            noise(&mut buffer[..part]);
        }
        let full = number("full_gain", -1);
        if full >= 0 && MANUAL.load(Ordering::Relaxed) {
            scale(&mut buffer[..part], GAIN.load(Ordering::Relaxed) as c_int - full);
        }
        let pace: f64 = order("pace").and_then(|pace| pace.parse().ok()).unwrap_or(1.0);
        let rate = f64::from(RATE.load(Ordering::Relaxed)) * 2.0 * pace;
        due += Duration::from_secs_f64(part as f64 / rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        callback(buffer.as_mut_ptr(), part as u32, context);
        sent += 1;
    }
}

/// Noise of 7 LSB.
fn noise(buffer: &mut [u8]) {
    static STATE: AtomicU32 = AtomicU32::new(1);
    let mut state = STATE.load(Ordering::Relaxed);
    for byte in buffer {
        let mut sum = 0;
        for _ in 0..4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += state >> 28;
        }
        // Four dice of 16: mean 30, deviation 9.
        *byte = (128 + (sum as i32 - 30) * 3 / 4) as u8;
    }
    STATE.store(state, Ordering::Relaxed);
}

fn scale(buffer: &mut [u8], tenths: c_int) {
    let factor = 10f32.powf(tenths as f32 / 200.0);
    for byte in buffer {
        *byte = (127.5 + (f32::from(*byte) - 127.5) * factor)
            .round()
            .clamp(0.0, 255.0) as u8;
    }
}

/// From the file, over and over.
fn fill(file: &mut std::fs::File, mut buffer: &mut [u8]) -> bool {
    let mut rewound = false;
    while !buffer.is_empty() {
        match file.read(buffer) {
            Ok(0) if rewound || file.seek(SeekFrom::Start(0)).is_err() => return false,
            Ok(0) => rewound = true,
            Ok(n) => {
                buffer = &mut buffer[n..];
                rewound = false;
            }
            Err(_) => return false,
        }
    }
    true
}
