//! Pauses between attempts to reach something that failed.

use jiff::Timestamp;
use std::time::Duration;

/// The first pause between attempts; doubled every time.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A source that was up for this long has earned a fresh start.
pub const STEADY: Duration = Duration::from_secs(60);

/// Three quarters to five quarters of `pause`, so that many receivers do not all knock at once.
pub fn jittered(pause: Duration) -> Duration {
    let random = Timestamp::now().subsec_nanosecond() as u32 % 1000;
    pause * (750 + random / 2) / 1000
}
