//! Small JSON files, read and written as a whole.

use crate::store::database::{private, with_suffix};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Reads a file.
///
/// # Errors
/// Returns the system's error, and [`ErrorKind::InvalidData`] for another content.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&std::fs::read(path)?)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Writes a new file that nobody else may read, and moves it into place, so that neither a kill nor a power cut leaves half of one.
///
/// # Errors
/// Returns the system's error; the old file is as it was.
pub fn write<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    let temporary = with_suffix(path, "new");
    let mut file = private().create(true).truncate(true).open(&temporary)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
