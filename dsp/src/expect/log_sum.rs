//! Sums of likelihoods, which a float has no room for, by their logarithms.

/// Sum of exponentials, by their logarithms.
#[derive(Clone, Copy)]
pub(super) struct LogSum {
    max: f64,
    sum: f64,
}

impl LogSum {
    pub const EMPTY: LogSum = LogSum {
        max: f64::NEG_INFINITY,
        sum: 0.0,
    };

    pub fn add(&mut self, ln: f64) {
        if ln == f64::NEG_INFINITY {
            return;
        }
        if ln <= self.max {
            self.sum += (ln - self.max).exp();
        } else if ln.is_finite() {
            self.sum = self.sum * (self.max - ln).exp() + 1.0;
            self.max = ln;
        }
    }

    pub fn ln(self) -> f64 {
        self.max + self.sum.ln()
    }
}

/// Returns the logarithm of the sum of likelihoods.
pub(super) fn ln_sum<const N: usize>(all: [f64; N]) -> f64 {
    let mut sum = LogSum::EMPTY;
    all.into_iter().for_each(|ln| sum.add(ln));
    sum.ln()
}

/// ln((e^a + e^b) / 2)
pub(super) fn ln_mean(a: f32, b: f32) -> f64 {
    let (a, b) = (f64::from(a), f64::from(b));
    a.max(b) + (-(a - b).abs()).exp().ln_1p() - std::f64::consts::LN_2
}
