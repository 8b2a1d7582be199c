//! Kamstrup's own value information (VIF FF), as its data sheets of the wM-Bus modules list it: numbers without a sign.

use super::payload::unsigned;
use crate::mbus::{Record, Value};
use crate::mbus_manufacturers::name;
use crate::quantity;

/// Gives the records that only Kamstrup understands their names.
pub(super) fn replace(mut record: Record, data: &[u8]) -> Record {
    name("KAM", &mut record);
    if matches!(
        record.quantity,
        "info_code" | "error_flags" | "volume_temperature_1" | "volume_temperature_2"
    ) {
        record.value = quantity::scaled(unsigned(data), 0).map(Value::Number);
    }
    record
}
