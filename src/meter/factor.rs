//! Scale and offset of a meter: decimal numbers exactly as configured.

use metertap_decode::quantity::{Decimal, from_float, to_f64};

/// Decimal number of at most 18 digits, at most 12 of them behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(Decimal);

/// Most decimal places, so that two factors of 18 digits can be aligned within 128 bits.
const MAX_PLACES: u32 = 12;
/// Smallest mantissa that is refused.
const MANTISSA_LIMIT: u128 = 10u128.pow(18);

impl Factor {
    /// Scale of a meter without one.
    pub const ONE: Factor = Factor(Decimal::ONE);
    /// Offset of a meter without one.
    pub const ZERO: Factor = Factor(Decimal::ZERO);

    /// Converts to the shortest decimal that reads back as `number`; `None` if that has more than 18 digits or more than
    /// 12 decimal places, or `number` is not finite.
    pub fn new(number: f64) -> Option<Self> {
        let is_short = |decimal: &Decimal| {
            decimal.scale() <= MAX_PLACES && decimal.mantissa().unsigned_abs() < MANTISSA_LIMIT
        };
        from_float(number).filter(is_short).map(Factor)
    }

    /// Power of ten of the last digit, 0 to -12.
    pub fn exponent(self) -> i32 {
        -(self.0.scale() as i32)
    }

    /// Nearest floating-point number, for limits.
    pub fn to_f64(self) -> f64 {
        to_f64(&self.0)
    }

    /// Digits in units of ten to the `exponent`, which must not exceed [`Factor::exponent`].
    pub fn in_units_of(self, exponent: i32) -> i128 {
        self.0.mantissa() * 10i128.pow((self.exponent() - exponent).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_short_decimal_are_refused() {
        assert_eq!(Factor::new(f64::NAN), None);
        assert_eq!(Factor::new(1e-20), None);
        assert_eq!(Factor::new(0.01).map(Factor::exponent), Some(-2));
    }
}
