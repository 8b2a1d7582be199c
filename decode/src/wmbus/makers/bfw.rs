//! BFW 240 radio: a heat cost allocator with 18 months of history.
//!
//! ```text
//!  2F 2F │ ? │ 1F │ last season (2) │ now (2) │ ? (2) │ 18 months (27) │ date (3)      high byte first
//! ```
//!
//! A month has 12 bits. Three bytes hold two of them, the older one first: its low byte, the high nibbles of both, the low
//! byte of the other. The last three bytes before the date hold the last two months.

use super::payload::{Context, date, two_digits, value};
use crate::mbus::Record;
use crate::unit::Unit;

/// Decodes the payload.
pub(super) fn payload(context: &Context) -> Option<Vec<Record>> {
    let payload: &[u8; 40] = context.payload.try_into().ok()?;
    if context.meter.device_type != 8 || !payload.starts_with(&[0x2F, 0x2F]) || payload[3] != 0x1F {
        return None;
    }
    let big = |at: usize| i128::from(payload[at]) << 8 | i128::from(payload[at + 1]);
    let units = |storage, number| value("heat_cost_units", storage, number, 0, Unit::None);
    let [.., day, month, year] = payload;
    let (day, month, year) = (two_digits(*day)?, two_digits(*month)?, two_digits(*year)?);
    let mut records = vec![
        units(0, big(6)),
        units(1, big(4)),
        date("date", 0, 2000 + u16::from(year), month, day),
    ];
    let months = payload[10..37].rchunks_exact(3).flat_map(|bytes| {
        let [older, high, younger] = [bytes[0], bytes[1], bytes[2]].map(i128::from);
        [(high & 0x0F) << 8 | younger, (high >> 4) << 8 | older]
    });
    records.extend(months.zip(2..).map(|(number, storage)| units(storage, number)));
    Some(records)
}
