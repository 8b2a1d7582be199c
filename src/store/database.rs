//! Opening of redb files that may be damaged, come from a later version, or lie on a full disk.
//!
//! A file that redb cannot understand is renamed, and a fresh one begun: a daemon that does not start delivers nothing at
//! all. A disk that is full or fails is another matter: it may recover, so the file is left alone and the error returned.

use redb::{Builder, Database, DatabaseError, StorageError};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Permissions of new files, whatever the umask removes further: readings are nobody else's business.
const PRIVATE: u32 = 0o600;

/// Reason why a redb file cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The content makes no sense to this version; the file should be set aside.
    #[error("damaged, or written by another version: {0}")]
    Damaged(String),
    /// Another process has the file open.
    #[error("in use by another process")]
    InUse,
    /// The disk or the file system fails, for example because it is full.
    #[error("{0}")]
    Io(io::Error),
}

/// Opened database.
#[derive(Debug)]
pub struct Opened {
    /// The database.
    pub db: Database,
    /// New name of the damaged file that was in its place.
    pub set_aside: Option<PathBuf>,
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse,
            // redb reports a wrong magic number, and a file that ends too early, as I/O errors of its own making.
            redb::Error::Io(error)
                if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                StoreError::Damaged(error.to_string())
            }
            redb::Error::Io(error) => StoreError::Io(error),
            redb::Error::PreviousIo => StoreError::Io(io::Error::other("an earlier write has failed")),
            other => StoreError::Damaged(other.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        StoreError::Io(error)
    }
}

/// Opens a database, or creates it with permissions 0600. `check` reads and writes what the caller needs, so that damage is
/// found here: a damaged file is set aside, told in the log, and a fresh one begun.
///
/// # Errors
/// Returns [`StoreError::Io`] if the disk fails and [`StoreError::InUse`] if another process has the file open; the file is
/// left as it was then.
pub fn open<T>(
    path: &Path,
    cache_bytes: usize,
    check: impl Fn(&Database) -> Result<T, redb::Error>,
) -> Result<(Opened, T), StoreError> {
    let is_there = std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
    if !is_there {
        let (db, checked) = create(path, cache_bytes, &check)?;
        return Ok((Opened { db, set_aside: None }, checked));
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match use_file(file, cache_bytes, &check) {
        Ok((db, checked)) => Ok((Opened { db, set_aside: None }, checked)),
        Err(StoreError::Damaged(reason)) => {
            let aside = set_aside(path)?;
            tracing::error!(
                file = %path.display(),
                set_aside = %aside.display(),
                reason,
                "File is damaged or of another version; set aside, and a fresh one begun"
            );
            let (db, checked) = create(path, cache_bytes, &check)?;
            let set_aside = Some(aside);
            Ok((Opened { db, set_aside }, checked))
        }
        Err(error) => Err(error),
    }
}

/// Creates a database under another name and moves it into place, so that a full disk leaves no half of one behind.
fn create<T>(
    path: &Path,
    cache_bytes: usize,
    check: &impl Fn(&Database) -> Result<T, redb::Error>,
) -> Result<(Database, T), StoreError> {
    let temporary = with_suffix(path, "new");
    let _ = std::fs::remove_file(&temporary);
    let created = private().create_new(true).open(&temporary);
    let created = created.map_err(StoreError::from).and_then(|file| {
        let created = use_file(file, cache_bytes, check)?;
        std::fs::rename(&temporary, path)?;
        Ok(created)
    });
    if created.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    created
}

fn use_file<T>(
    file: File,
    cache_bytes: usize,
    check: &impl Fn(&Database) -> Result<T, redb::Error>,
) -> Result<(Database, T), StoreError> {
    guard(|| {
        let db = Builder::new().set_cache_size(cache_bytes).create_file(file)?;
        let checked = check(&db)?;
        Ok((db, checked))
    })
}

/// Runs `work`, in which redb panics if it meets a damaged page.
///
/// # Errors
/// Returns the error of `work`, and [`StoreError::Damaged`] for a panic.
pub fn guard<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(StoreError::Damaged("a page makes no sense".into())),
    }
}

/// Options for a file that is read and written, with permissions 0600 if it is created.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(PRIVATE);
    options
}

/// Renames a damaged file to `NAME.damaged-20261126T101502Z`, and returns that name.
///
/// # Errors
/// Returns the system's error if the file cannot be renamed.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let mut aside = with_suffix(path, &format!("damaged-{date}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = with_suffix(path, &format!("damaged-{date}-{number}"));
    }
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Appends `.suffix` to a file name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{ReadableTableMetadata, TableDefinition};
    use std::os::unix::fs::PermissionsExt;

    const TABLE: TableDefinition<u64, &str> = TableDefinition::new("table");
    const CACHE: usize = 1 << 20;

    fn len(db: &Database) -> Result<u64, redb::Error> {
        let transaction = db.begin_write()?;
        let len = transaction.open_table(TABLE)?.len()?;
        transaction.commit()?;
        Ok(len)
    }

    fn filled(path: &Path) {
        let (opened, _) = open(path, CACHE, len).unwrap();
        let transaction = opened.db.begin_write().unwrap();
        {
            let mut table = transaction.open_table(TABLE).unwrap();
            for key in 0..2000 {
                table.insert(key, "a value").unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn files(dir: &tempfile::TempDir) -> usize {
        std::fs::read_dir(dir.path()).unwrap().count()
    }

    #[test]
    fn given_a_damaged_file_then_it_is_set_aside_under_a_dated_name_and_a_fresh_one_begun() {
        let damages: [fn(&mut Vec<u8>); 4] = [
            |bytes| bytes.truncate(bytes.len() / 2),
            |bytes| *bytes = b"not a database".to_vec(),
            |bytes| bytes[..64].fill(0xff),
            |bytes| bytes[9] = 0x7f,
        ];
        for damage in damages {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file.redb");
            filled(&path);
            let mut bytes = std::fs::read(&path).unwrap();
            damage(&mut bytes);
            std::fs::write(&path, &bytes).unwrap();
            let (opened, _) = open(&path, CACHE, len).unwrap();
            if let Some(aside) = opened.set_aside {
                assert!(aside.to_string_lossy().contains("file.redb.damaged-2"));
                assert_eq!(std::fs::read(aside).unwrap(), bytes);
            }
            drop(opened.db);
            assert_eq!(open(&path, CACHE, len).unwrap().0.set_aside, None);
            assert!(files(&dir) <= 2);
        }
    }

    #[test]
    fn given_a_new_file_then_only_its_owner_may_read_it_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.redb");
        filled(&path);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, files(&dir)), (0o600, 1));
        let (opened, rows) = open(&path, CACHE, len).unwrap();
        assert_eq!((rows, opened.set_aside), (2000, None));
    }

    #[test]
    fn given_a_file_that_is_open_or_cannot_be_made_then_nothing_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.redb");
        let (first, _) = open(&path, CACHE, len).unwrap();
        assert!(matches!(open(&path, CACHE, len), Err(StoreError::InUse)));
        drop(first);
        let missing = dir.path().join("missing/file.redb");
        assert!(matches!(open(&missing, CACHE, len), Err(StoreError::Io(_))));
        assert_eq!(files(&dir), 1);
    }
}
