//! Ei Electronics: state of a smoke detector, VIFE FF 2C.
//!
//! ```text
//!  0–4: dust, 1C and more: to be cleaned   8–11: battery, 2.25 V + 0.05 V each   20–22: distance of an obstacle   others: alarms
//! ```

use super::payload::{flags, value};
use crate::mbus::{Record, Value};
use crate::unit::Unit;

/// From this level on a detector is to be cleaned.
const DUSTY: u32 = 0x1C;

/// Replaces the record of the state by those that it holds.
pub(super) fn replace(record: Record, data: &[u8]) -> Vec<Record> {
    let is_state = record.quantity == "manufacturer_specific" && record.modifiers == ["2C"];
    let Some(bytes) = data.first_chunk::<4>().filter(|_| is_state) else {
        return vec![record];
    };
    let state = u32::from_le_bytes(*bytes);
    let dust = state & 0x1F;
    let dusty = if dust >= DUSTY { DUSTY_BIT } else { 0 };
    let distance = DISTANCES[(state >> 20 & 7) as usize];
    vec![
        value("dust_level", 0, dust.into(), 0, Unit::None),
        value(
            "battery_voltage",
            0,
            (225 + 5 * (state >> 8 & 0x0F)).into(),
            -2,
            Unit::V,
        ),
        text("obstacle_distance", distance),
        flags("alarms", (state ^ COMPLETED) & !DUSTY_BIT | dusty, &ALARMS),
    ]
}

fn text(quantity: &'static str, text: &str) -> Record {
    Record::current(quantity, Some(Value::Text(text.into())), Unit::None)
}

/// Stands for dust: the meter does not have this bit.
const DUSTY_BIT: u32 = 1 << 31;

/// Set once the obstacle detection at installation (SEODS) is completed.
const COMPLETED: u32 = 0x0001_0000;

const DISTANCES: [&str; 8] = [
    "not_measured",
    "none",
    "45_to_60_cm",
    "38_to_53_cm",
    "33_to_48_cm",
    "28_to_40_cm",
    "20_to_33_cm",
    "0_to_25_cm",
];

const ALARMS: [(u32, &str); 14] = [
    (DUSTY_BIT, "cleaning_recommended"),
    (0x20, "sounder_fault"),
    (0x40, "tamper_while_removed"),
    (0x80, "eol_reached"),
    (0x1000, "low_battery_fault"),
    (0x2000, "alarm_sensor_fault"),
    (0x4000, "obstacle_detector_fault"),
    (0x8000, "eol_within_12_month"),
    (COMPLETED, "seods_not_yet_completed"),
    (0x0002_0000, "env_changed_since_installation"),
    (0x0004_0000, "comm_to_head_fault"),
    (0x0008_0000, "interference_preventing_obstacle_detection"),
    (0x0100_0000, "obstacle_detected"),
    (0x0200_0000, "smoke_detector_fully_covered"),
];
