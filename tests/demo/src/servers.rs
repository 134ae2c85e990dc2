//! The private Postgres and Redis of the demo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use testkit::Redis;

/// Running servers; both end with this process.
pub(crate) struct Servers {
    pub(crate) database_url: String,
    pub(crate) folder: PathBuf,
    postgres: PathBuf,
    redis: Redis,
}

impl Servers {
    /// Starts both in `folder`, which is emptied first.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("{} cannot be emptied", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let folder = folder.canonicalize()?;
        // A name of its own: the guard of an earlier demo may still be removing that one's folder.
        let postgres = folder.join(format!("postgres-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../setup/cluster.sh");
        let output = Command::new("bash")
            .arg(&script)
            .arg(std::process::id().to_string())
            .arg(&postgres)
            .args(["-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("{} cannot be run", script.display()))?;
        if !output.status.success() {
            bail!("Postgres did not start; the lines above say why");
        }
        let server = String::from_utf8(output.stdout)?.trim().to_owned();
        let redis = Redis::in_folder(&folder, &["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]);
        Ok(Self { database_url: format!("{server}/postgres"), folder, postgres, redis })
    }

    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.redis.stop();
        stop_postgres(&self.postgres.join("data/postmaster.pid"));
        // Whatever is left is removed when the demo starts again.
        let _left_behind = fs::remove_dir_all(&self.folder);
    }
}

/// Ends the server that wrote this file, at once: its data is thrown away. The script's guard is there for the case that this
/// process is killed.
fn stop_postgres(file: &Path) {
    let Some(id) = fs::read_to_string(file).ok().and_then(|text| text.lines().next().map(str::to_owned)) else {
        return;
    };
    let _already_ended = Command::new("kill").args(["-QUIT", &id]).status();
    let begin = Instant::now();
    while file.exists() && begin.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
