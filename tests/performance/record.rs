//! Where figures are kept, and on what machine they were taken.

use std::path::PathBuf;

use serde_json::Value;

/// A file of `docs/performance`.
pub(crate) fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance"));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Writes figures as JSON, with the machine beside them.
pub(crate) fn write(name: &str, mut figures: Value) {
    figures.as_object_mut().unwrap().insert("machine".to_owned(), machine().into());
    std::fs::write(file(name), format!("{figures}\n")).unwrap();
}

/// The processors, and what else they did before.
pub(crate) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} cores ({}), load before {}",
        std::thread::available_parallelism().unwrap(),
        model.unwrap_or("unknown"),
        load.split(' ').next().unwrap_or_default()
    )
}
