//! Every SQL statement of the system, by its file name.

/// The text of `sql/<path>`. The tests prepare every such file against the migrated schema.
#[macro_export]
macro_rules! sql {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $path))
    };
}
