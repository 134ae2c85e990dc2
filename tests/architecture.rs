//! The floors and rooms of `ARCHITECTURE.md`, as tests: who may depend on whom, which library belongs to which room,
//! and what no source file may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Every crate of ours, its floor, and what it stands on. A dependency that is missing here is not forbidden for ever: it is a
/// decision, and this table is where it is taken.
const CRATES: &[(&str, u8, &[&str])] = &[
    ("domain", 0, &[]),
    ("config", 0, &[]),
    ("telemetry", 1, &["config"]),
    ("shopper", 1, &["config", "domain"]),
    ("kv", 2, &["config", "domain"]),
    ("store", 2, &["config", "domain", "telemetry"]),
    ("outbound", 2, &["config", "domain", "telemetry"]),
    ("queue", 3, &["domain", "kv", "telemetry"]),
    ("networks", 3, &["config", "domain", "outbound"]),
    ("chassis", 3, &["config", "telemetry"]),
    ("outbox", 4, &["domain", "queue", "store", "telemetry"]),
];

/// May use every crate above and no service.
const SERVICES: &[&str] = &["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"];

/// Never part of a production binary.
const FOR_TESTS: &[&str] = &["testkit", "provider-sim", "demo", "generate", "e2e"];

/// Libraries that belong to rooms: only these members may name them outside of tests.
const ROOMS: &[(&str, &[&str])] = &[
    ("redis", &[]),
    ("deadpool-redis", &["kv"]),
    ("tokio-postgres", &["store", "testkit"]),
    ("deadpool-postgres", &["store"]),
    ("tokio-postgres-rustls", &["store"]),
    ("postgres-types", &["domain", "store"]),
    ("refinery", &["store"]),
    ("reqwest", &["outbound", "testkit", "provider-sim"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("opentelemetry-otlp", &["telemetry"]),
    ("opentelemetry-prometheus", &["telemetry"]),
    ("prometheus", &["telemetry"]),
    ("tracing-subscriber", &["telemetry", "provider-sim"]),
    ("actix-http", &["chassis"]),
    ("actix-service", &["chassis"]),
    ("httparse", &["chassis"]),
    ("lettre", &["notifier"]),
    ("object_store", &["cron"]),
    ("openssl", &[]),
    ("native-tls", &[]),
    ("aws-lc-rs", &[]),
];

/// All that the domain may know of the world.
const DOMAIN_USES: &[&str] = &[
    "serde",
    "serde_json",
    "schemars",
    "chrono",
    "uuid",
    "url",
    "rust_decimal",
    "sha2",
    "hex",
    "postgres-types",
    "thiserror",
];

/// The limit of a file; at 400 a file wants to be two.
const MOST_LINES: usize = 500;

/// Names that say where nothing belongs, and so everything ends up.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "service", "services", "misc", "mod"];

/// What no production source may hold, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("println!(", "output goes through tracing, or through a writer whose reader may go away"),
    ("print!(", "output goes through tracing, or through a writer whose reader may go away"),
    ("dbg!(", "left over"),
    ("todo!(", "left over"),
    ("unimplemented!(", "left over"),
    ("#[allow(", "say #[expect(…, reason = \"…\")], which ends with its cause"),
    ("#![allow(", "say #[expect(…, reason = \"…\")], which ends with its cause"),
];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata")
}

fn depends(package: &Package, kinds: &[DependencyKind]) -> BTreeSet<String> {
    let wanted = package.dependencies.iter().filter(|dependency| kinds.contains(&dependency.kind));
    wanted.map(|dependency| dependency.name.clone()).collect()
}

const IN_BINARIES: &[DependencyKind] = &[DependencyKind::Normal, DependencyKind::Build];

/// Fails with all that is wrong, one line each.
fn none(problems: &[String]) {
    let mut text = String::new();
    for problem in problems {
        let _ = write!(text, "\n  - {problem}");
    }
    assert!(problems.is_empty(), "{} problems:{text}", problems.len());
}

#[test]
fn every_member_has_its_place() {
    let known = CRATES.iter().map(|(name, ..)| *name).chain(SERVICES.iter().copied()).chain(FOR_TESTS.iter().copied());
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    let found: BTreeSet<String> = metadata().packages.iter().map(|package| package.name.to_string()).collect();
    assert_eq!(found, known, "members of the workspace, and the places in tests/architecture.rs");
}

#[test]
fn crates_stand_on_lower_floors_only() {
    let floors: BTreeMap<&str, u8> = CRATES.iter().map(|(name, floor, _)| (*name, *floor)).collect();
    let mut problems = Vec::new();
    for (name, floor, stands_on) in CRATES {
        for lower in *stands_on {
            if floors[lower] >= *floor {
                problems.push(format!("the table itself: {name} (floor {floor}) on {lower} (floor {})", floors[lower]));
            }
        }
    }
    for package in &metadata().packages {
        let Some((name, _, stands_on)) = CRATES.iter().find(|(name, ..)| *name == package.name.as_str()) else {
            continue;
        };
        for dependency in depends(package, IN_BINARIES) {
            let ours = floors.contains_key(dependency.as_str()) || SERVICES.contains(&dependency.as_str());
            if ours && !stands_on.contains(&dependency.as_str()) {
                problems.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    none(&problems);
}

#[test]
fn nobody_depends_on_a_service() {
    let mut problems = Vec::new();
    for package in &metadata().packages {
        let all = [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];
        for dependency in depends(package, &all) {
            if SERVICES.contains(&dependency.as_str()) {
                problems.push(format!("{} depends on the service {dependency}", package.name));
            }
        }
        let is_service = SERVICES.contains(&package.name.as_str());
        if is_service && package.targets.iter().any(cargo_metadata::Target::is_lib) {
            problems.push(format!("{} has a library: a service is a binary, nobody imports it", package.name));
        }
    }
    none(&problems);
}

#[test]
fn what_is_for_tests_stays_out_of_production_binaries() {
    let mut problems = Vec::new();
    for package in &metadata().packages {
        if FOR_TESTS.contains(&package.name.as_str()) {
            continue;
        }
        let mut used = depends(package, IN_BINARIES);
        used.retain(|name| {
            FOR_TESTS.contains(&name.as_str()) || ["wiremock", "proptest", "insta", "tempfile"].contains(&name.as_str())
        });
        problems.extend(used.iter().map(|name| format!("{} depends on {name}", package.name)));
        let mut tested = depends(package, &[DependencyKind::Development]);
        tested.retain(|name| FOR_TESTS.contains(&name.as_str()) && name != "testkit");
        problems.extend(
            tested.iter().map(|name| format!("{}'s tests depend on {name}; they start its binary", package.name)),
        );
    }
    none(&problems);
}

#[test]
fn libraries_stay_in_their_rooms() {
    let mut problems = Vec::new();
    for package in &metadata().packages {
        if matches!(package.name.as_str(), "e2e" | "demo") {
            continue;
        }
        for name in depends(package, IN_BINARIES) {
            if let Some((library, rooms)) = ROOMS.iter().find(|(library, _)| *library == name)
                && !rooms.contains(&package.name.as_str())
            {
                problems.push(format!("{} uses {library}, whose room is {}", package.name, rooms.join(", ")));
            }
        }
    }
    none(&problems);
}

#[test]
fn the_domain_knows_nothing_of_the_world() {
    let metadata = metadata();
    let domain = metadata.packages.iter().find(|package| package.name.as_str() == "domain").expect("domain");
    let mut used = depends(domain, IN_BINARIES);
    used.retain(|name| !DOMAIN_USES.contains(&name.as_str()));
    assert!(used.is_empty(), "domain uses {used:?}");
}

#[test]
fn versions_stand_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut problems = Vec::new();
    for package in &metadata().packages {
        let text = fs::read_to_string(&package.manifest_path).expect("a manifest");
        for line in text.lines().filter(|line| line.contains("version = \"") || line.contains("path = \"../")) {
            problems.push(format!("{}: {line}", package.manifest_path));
        }
    }
    none(&problems);
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock");
    for library in ["redis", "reqwest", "rustls", "tokio", "chrono"] {
        let count = lock.matches(&format!("name = \"{library}\"\n")).count();
        assert_eq!(count, 1, "versions of {library} in Cargo.lock");
    }
    for library in ["openssl-sys", "aws-lc-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{library}\"\n")), "{library} is in Cargo.lock");
    }
}

/// All Rust files under `folder`.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace");
    let mut files = Vec::new();
    for folder in ["crates", "services", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "the sources were not found");
    files.sort();
    files
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let mut problems = Vec::new();
    for file in all_sources() {
        let lines = fs::read_to_string(&file).expect("a source").lines().count();
        if lines > MOST_LINES {
            problems.push(format!("{}: {lines} lines, at most {MOST_LINES}", file.display()));
        }
        // testkit has a `service.rs`: what it starts is called so.
        let is_exempt = file.ends_with("testkit/src/service.rs") || !file.iter().any(|part| part == "src");
        let mut names: Vec<_> = file.iter().skip_while(|part| *part != "src").collect();
        names.pop();
        names.extend(file.file_stem());
        if !is_exempt && names.iter().any(|name| EMPTY_NAMES.iter().any(|empty| *name == *empty)) {
            problems.push(format!("{}: a name that says nothing", file.display()));
        }
    }
    none(&problems);
}

/// The part of a source that goes into a binary: without comments, and without the tests at its end.
fn production_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn sources_hold_nothing_forbidden() {
    let mut problems = Vec::new();
    for file in all_sources() {
        let parts: BTreeSet<_> = file.iter().filter_map(|part| part.to_str()).collect();
        let for_tests = parts.contains("tests") || parts.contains("testkit") || file.ends_with("tests.rs");
        if for_tests || !parts.contains("src") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source");
        for (number, line) in production_lines(&text) {
            for (word, reason) in FORBIDDEN {
                if line.contains(word) {
                    problems.push(format!("{}:{}: {word} … {reason}", file.display(), number + 1));
                }
            }
        }
    }
    none(&problems);
}

#[test]
fn every_key_of_redis_is_built_in_one_module() {
    let families = ["queue:", "worker:", "redirect:", "ratelimit:", "webhook:once:", "{queue:"];
    let mut problems = Vec::new();
    for file in all_sources() {
        let parts: BTreeSet<_> = file.iter().filter_map(|part| part.to_str()).collect();
        let is_production = parts.contains("src") && !parts.contains("tests") && !parts.contains("testkit");
        if !is_production || file.ends_with("kv/src/keys.rs") || file.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source");
        for (number, line) in production_lines(&text) {
            // What the audit log calls a queue reads like its key, and is none.
            let is_audit = line.trim_start().starts_with("let target = format!");
            if !is_audit && families.iter().any(|family| line.contains(&format!("\"{family}"))) {
                problems.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    none(&problems);
}
