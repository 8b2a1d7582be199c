//! Units by number (DLMS UA 1000-1, "Blue Book", enumerated values for physical units).

use crate::unit::Unit;

/// Returns the unit of a number; [`Unit::None`] for 255 (no unit), plain counts and numbers that are not known.
pub fn unit(number: u8) -> Unit {
    match number {
        1 => Unit::Year,
        2 => Unit::Month,
        3 => Unit::Week,
        4 => Unit::Day,
        5 => Unit::Hour,
        6 => Unit::Minute,
        7 => Unit::Second,
        8 => Unit::Degree,
        9 => Unit::Celsius,
        11 => Unit::Meter,
        12 => Unit::MeterPerSecond,
        // Volumes and flows as measured, and converted to base conditions.
        13 | 14 => Unit::CubicMeter,
        15 | 16 => Unit::CubicMeterPerHour,
        17 | 18 => Unit::CubicMeterPerDay,
        19 => Unit::Liter,
        20 => Unit::Kilogram,
        21 => Unit::Newton,
        22 => Unit::NewtonMeter,
        23 => Unit::Pascal,
        24 => Unit::Bar,
        25 => Unit::J,
        26 => Unit::JoulePerHour,
        27 => Unit::W,
        28 => Unit::VA,
        29 => Unit::Var,
        30 => Unit::Wh,
        31 => Unit::VAh,
        32 => Unit::Varh,
        33 => Unit::A,
        34 => Unit::Coulomb,
        35 => Unit::V,
        36 => Unit::VoltPerMeter,
        37 => Unit::Farad,
        38 => Unit::Ohm,
        44 => Unit::Hz,
        52 => Unit::Kelvin,
        56 => Unit::Percent,
        57 => Unit::AmpereHour,
        70 => Unit::DecibelMilliwatt,
        72 => Unit::Decibel,
        _ => Unit::None,
    }
}
