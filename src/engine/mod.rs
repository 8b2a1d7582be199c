//! Threads and their order: the only place that starts any.

mod radio;
mod stop;

pub use radio::{End, Heard, Radio};
pub use stop::Stop;
