//! GWF: alarms and the battery of a water meter behind DIF 0F.
//!
//! ```text
//!  01 │ alarms │ 0: saving power, 3–7: battery in half years │ ?
//! ```
//!
//! Any other first byte announces another form, which is not known.

use super::payload::{Context, flags, value};
use crate::mbus::Record;
use crate::unit::Unit;

/// Decodes the tail.
pub(super) fn tail(context: &Context, tail: &[u8]) -> Option<Vec<Record>> {
    if !matches!(
        (context.meter.version, context.meter.device_type),
        (0x01, 0x0E) | (0x3C, 0x07)
    ) {
        return None;
    }
    let &[0x01, alarms, power, ..] = tail else {
        return None;
    };
    Some(vec![
        flags("alarms", alarms.into(), &ALARMS),
        value("battery_remaining", 0, 5 * i128::from(power >> 3), -1, Unit::Year),
        value("power_saving", 0, i128::from(power & 1), 0, Unit::None),
    ])
}

const ALARMS: [(u32, &str); 4] = [
    (0x02, "continuous_flow"),
    (0x08, "broken_pipe"),
    (0x20, "battery_low"),
    (0x40, "backflow"),
];
