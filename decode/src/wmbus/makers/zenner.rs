//! Zenner 0B: a water meter whose volumes stand behind DIF 0F, in 1/256 of a litre.
//!
//! ```text
//!  status (4) │ volume at the set day (4) │ volume (4) │ ?
//! ```

use super::payload::{Context, unsigned, value};
use crate::mbus::{Record, Value};
use crate::quantity::Decimal;
use crate::unit::Unit;

/// Decodes the tail.
pub(super) fn tail(context: &Context, tail: &[u8]) -> Option<Vec<Record>> {
    if context.meter.version != 0x0B || context.meter.device_type != 0x16 {
        return None;
    }
    let volume = |storage, at: usize| {
        let counts = Decimal::try_from_i128_with_scale(unsigned(tail.get(at..at + 4)?), 0).ok()?;
        let volume = counts / Decimal::from(256_000);
        Some(Record {
            storage,
            ..Record::current(
                "volume",
                Some(Value::Number(volume.normalize())),
                Unit::CubicMeter,
            )
        })
    };
    let status = value("error_flags", 0, unsigned(tail.get(..4)?), 0, Unit::None);
    Some(vec![volume(0, 8)?, volume(1, 4)?, status])
}
