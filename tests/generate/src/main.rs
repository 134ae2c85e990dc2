//! Writes the files that are made from the code: `.env.example`, the reference of settings, the contracts of jobs and of
//! the API, and the rule by which Kubernetes scales the notifier.
//!
//! `generate [ROOT]` writes them below the workspace's root. With `--check` it writes nothing and fails when a file differs
//! from what it would write. The settings come from the services' own binaries (`settings --json`), which must be built.

mod contracts;
mod openapi;
mod scaler;
mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

/// Files by their path below the root.
type Files = BTreeMap<String, String>;

fn main() -> anyhow::Result<()> {
    let mut root = PathBuf::from(".");
    let mut only_check = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => only_check = true,
            folder => root = PathBuf::from(folder),
        }
    }
    let mut files = Files::new();
    contracts::write(&mut files)?;
    openapi::write(&mut files)?;
    settings::write(&mut files)?;
    scaler::write(&root, &mut files)?;

    let mut differing = Vec::new();
    for (name, text) in &files {
        let path = root.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == *text) {
            continue;
        }
        differing.push(name.as_str());
        if !only_check {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            }
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    if only_check && !differing.is_empty() {
        bail!("out of date, run `make generate`: {}", differing.join(", "));
    }
    Ok(())
}
