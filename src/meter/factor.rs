//! Scale and offset of a meter: decimal numbers exactly as configured.

/// Decimal number: `digits` times ten to the `exponent`, which is not positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    digits: i64,
    exponent: i8,
}

/// Most decimal places, so that two factors of 64 bits can be aligned within 128.
const MAX_PLACES: i8 = 12;

impl Factor {
    /// Scale of a meter without one.
    pub const ONE: Factor = Factor {
        digits: 1,
        exponent: 0,
    };
    /// Offset of a meter without one.
    pub const ZERO: Factor = Factor {
        digits: 0,
        exponent: 0,
    };

    /// Converts to the shortest decimal that reads back as `number`; `None` if that has more than 12 decimal places, or
    /// `number` is not finite.
    pub fn new(number: f64) -> Option<Self> {
        let text = format!("{number}");
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{part}").parse().ok()?;
        let places = i8::try_from(part.len())
            .ok()
            .filter(|places| *places <= MAX_PLACES)?;
        Some(Factor {
            digits,
            exponent: -places,
        })
    }

    /// Power of ten of the last digit, 0 to -12.
    pub fn exponent(self) -> i8 {
        self.exponent
    }

    /// Nearest floating-point number, for limits.
    pub fn to_f64(self) -> f64 {
        self.digits as f64 * 10f64.powi(self.exponent.into())
    }

    /// Digits in units of ten to the `exponent`, which must not exceed [`Factor::exponent`].
    pub fn in_units_of(self, exponent: i8) -> i128 {
        i128::from(self.digits) * 10i128.pow((self.exponent - exponent).unsigned_abs().into())
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
