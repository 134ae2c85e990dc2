//! A small disk for the redirector's spool, which something else can fill. Needs root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::servers::run;

/// Enough for every other fault.
const SIZE: &str = "size=64m";
/// What is left when it has been filled: some hundred clicks.
const LEFT: u64 = 64 * 1024;

/// A mounted disk; it is taken away when this value is dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        run("mount", &["-t", "tmpfs", "-o", SIZE, "tmpfs", &folder.display().to_string()]);
        Self(folder.to_owned())
    }

    /// Fills it with a file that is no click.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        file.set_len(file.metadata().unwrap().len() - LEFT).unwrap();
    }

    /// Takes that file away, where there is one.
    pub(crate) fn free(&self) {
        let _absent = std::fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _still_in_use = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
