//! The description of the console's API, as the console gives it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::Files;

/// Adds the file.
pub(crate) fn write(files: &mut Files) -> anyhow::Result<()> {
    let mut path: PathBuf = std::env::current_exe().context("where this binary is")?;
    path.set_file_name("admin");
    let output = Command::new(&path)
        .arg("openapi")
        .env_clear()
        .output()
        .with_context(|| format!("{} cannot be run: `cargo build --workspace --bins` first", path.display()))?;
    if !output.status.success() {
        bail!("`admin openapi` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    files.insert("docs/contracts/openapi.json".to_owned(), String::from_utf8(output.stdout)?);
    Ok(())
}
