//! Formats of compact frames that were learned from full ones, so that after a restart nobody has to wait for a full frame.

use crate::store::database::set_aside;
use crate::store::json_file;
use data_encoding::HEXUPPER;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Returns the headers of the formats in the file. One that cannot be understood is set aside, and told in the log; one that
/// cannot be read counts as empty.
pub fn read(path: &Path) -> Vec<Vec<u8>> {
    match try_read(path) {
        Ok(formats) => formats,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let aside = (error.kind() == ErrorKind::InvalidData).then(|| set_aside(path));
            let aside: PathBuf = aside.and_then(Result::ok).unwrap_or_default();
            tracing::error!(
                file = %path.display(),
                set_aside = %aside.display(),
                %error,
                "Learned compact formats cannot be read: they are learned again from full frames"
            );
            Vec::new()
        }
    }
}

fn try_read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let texts: Vec<String> = json_file::read(path)?;
    let bytes = texts.iter().map(|text| HEXUPPER.decode(text.as_bytes()));
    bytes
        .collect::<Result<_, _>>()
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Writes the headers of the formats. A failure is logged: they are learned again.
pub fn write(path: &Path, formats: &[Vec<u8>]) {
    let texts: Vec<String> = formats.iter().map(|headers| HEXUPPER.encode(headers)).collect();
    if let Err(error) = json_file::write(path, &texts) {
        tracing::warn!(file = %path.display(), %error, "Learned compact formats cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_formats_then_the_next_process_finds_them_and_a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("compact-formats.json");
        assert!(read(&path).is_empty());
        let formats = vec![vec![4, 0x13], vec![2, 0x5A]];
        write(&path, &formats);
        assert_eq!(read(&path), formats);
        std::fs::write(&path, "[\"0x\"]").unwrap();
        assert!(read(&path).is_empty() && !path.exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
