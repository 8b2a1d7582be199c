//! A disk that is soon full.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, mounted in a folder until the test ends. Needs permission to mount.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn mount(megabytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(dir.path())
            .status();
        assert!(status.unwrap().success());
        SmallDisk(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let rest = std::fs::write(self.rest(), vec![0; 1 << 26]);
        assert_eq!(rest.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    /// Gives the room back.
    pub fn clear(&self) {
        std::fs::remove_file(self.rest()).unwrap();
    }

    fn rest(&self) -> PathBuf {
        self.path().join("rest")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached at once, also if the program still has a file open in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
