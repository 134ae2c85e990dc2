//! The command line.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// When the mail server begins to speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tls {
    /// When the client asks for it (port 587).
    Starttls,
    /// From the first byte (port 465).
    Implicit,
}

/// Plays every outside provider on one port, for development and tests.
#[derive(Debug, Clone, Parser)]
#[command(name = "provider-sim", version)]
pub(crate) struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port to listen on; 0 takes a free one and prints it.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Port of the mail server; 0 takes a free one and prints it. Without it there is none.
    #[arg(long)]
    pub(crate) smtp_port: Option<u16>,
    /// How the mail server speaks TLS: `starttls`, `implicit`, or not at all.
    #[arg(long, requires_all = ["smtp_port", "smtp_certificate"])]
    pub(crate) smtp_tls: Option<Tls>,
    /// Where the mail server's certificate (for `localhost`) is written, for clients to trust.
    #[arg(long, requires = "smtp_tls")]
    pub(crate) smtp_certificate: Option<PathBuf>,
    /// Seed of ids, amounts and keys: the same calls under the same seed give the same answers.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many mails and SMS the inbox keeps.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) inbox_limit: usize,
    /// How many received requests the journal keeps.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) journal_limit: usize,
    /// A fixed delay on every mail and SMS call, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) latency_ms: u64,
    /// Server threads.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Settings as a JSON object, the same as the body of `POST /_sim/config`.
    #[arg(long, env = "PROVIDER_SIM_CONFIG", default_value = "{}", hide_default_value = true, hide_env_values = true)]
    pub(crate) config: String,
}

impl Options {
    /// The fixed delay on mail and SMS calls.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }
}
