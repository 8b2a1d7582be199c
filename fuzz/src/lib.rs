//! What every fuzz target of a wire asserts: nothing panics, nothing grows, and any split of the bytes gives the same events.

use metertap::port::{DecodeEvent, Listener};

/// Pushes `bytes` into listeners made by `new`, at once and in pieces, and compares what they emit.
///
/// # Panics
/// If the events differ.
pub fn push_in_pieces<L: Listener>(new: impl Fn() -> L, bytes: &[u8]) {
    let whole = events(new(), [bytes]);
    // The length of the pieces is that of the input, so that the fuzzer chooses it.
    let length = 1 + bytes.first().map_or(0, |first| usize::from(*first));
    let pieces = events(new(), bytes.chunks(length));
    assert_eq!(whole, pieces, "in pieces of {length}");
}

/// Events in the order in which their bytes begin: a listener with several framers side by side may emit them in another.
fn events<'a>(mut port: impl Listener, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<(u64, String)> {
    let mut events = Vec::new();
    let mut emit = |event: DecodeEvent| events.push((event.at, format!("{:?}", event.result)));
    for part in parts {
        port.push(part, &mut emit);
    }
    port.finish(&mut emit);
    events.sort_by_key(|(at, _)| *at);
    events
}
