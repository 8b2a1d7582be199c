//! Input of `metertap decode`: a file, or standard input.

use std::io::{Read, stdin};
use std::path::Path;

/// Reads a file to its end; `-` is standard input.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
}
