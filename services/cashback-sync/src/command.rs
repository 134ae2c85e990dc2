//! `cashback-sync run`: a pull by hand, with its progress on stderr and its figures on stdout.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use chassis::Life;
use chrono::NaiveDate;
use clap::Subcommand;
use domain::jobs::cashback::SyncWindow;
use domain::network::Network;

use crate::parts::Parts;
use crate::pull::{Order, PullError, Pulled, give_up, is_swapped, pull};
use crate::workers::pulls::tell;

/// What can be done besides serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pull a network's transactions now
    Run {
        /// admitad, vcommission or cuelinks
        #[arg(long)]
        network: Network,
        /// First action date (IST), such as 2026-01-31; without dates: what changed since the last pull
        #[arg(long, requires = "to")]
        from: Option<NaiveDate>,
        /// Last action date (IST)
        #[arg(long, requires = "from")]
        to: Option<NaiveDate>,
        /// Read and compute, and leave everything as it is
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(command: Command, parts: &Parts, life: &Life) -> anyhow::Result<()> {
    let Command::Run { network, from, to, dry_run } = command;
    let window = from.zip(to).map_or(SyncWindow::SinceCursor, |(from, to)| SyncWindow::ActionDates { from, to });
    anyhow::ensure!(!is_swapped(window), "--from is after --to: there is no day to read");
    let order = Order { network, window, requested_by: "command line", dry_run };
    let begin = Instant::now();
    let bar = Bar { is_live: std::io::stderr().is_terminal(), begin };
    let outcome = pull(parts, &order, &life.shutdown(), &mut |read, total| bar.show(read, total)).await;
    bar.end();
    match outcome {
        Ok(pulled) => {
            if !dry_run {
                tell(parts, network, &pulled).await?;
            }
            table(network, &pulled, dry_run, begin);
            Ok(())
        }
        // What is open stays open: the same command, or whoever has credentials, goes on behind the last page.
        Err(error) if error.can_go_on() || matches!(error, PullError::NotSetUp(_)) => Err(error.into()),
        Err(error) => {
            let error = anyhow::Error::from(error);
            if !dry_run {
                give_up(parts, network, &format!("{error:#}")).await?;
            }
            Err(error)
        }
    }
}

/// A bar on a terminal, a line a page elsewhere.
struct Bar {
    is_live: bool,
    begin: Instant,
}

impl Bar {
    fn show(&self, read: u64, total: Option<u64>) {
        const WIDTH: u64 = 30;
        let seconds = self.begin.elapsed().as_secs_f32();
        let text = match total.filter(|total| *total > 0) {
            Some(total) => {
                let share = read.min(total);
                let done = usize::try_from(share * WIDTH / total).unwrap_or_default();
                let left = usize::try_from(WIDTH).unwrap_or_default().saturating_sub(done);
                let percent = share * 100 / total;
                format!(
                    "[{}{}] {percent:>3} %  {read} of {total} rows, {seconds:.1} s",
                    "#".repeat(done),
                    ".".repeat(left)
                )
            }
            None => format!("{read} rows, {seconds:.1} s"),
        };
        let (before, after) = if self.is_live { ("\r", "") } else { ("", "\n") };
        // Progress that nobody reads is no reason to stop.
        let _closed = write!(std::io::stderr(), "{before}{text}{after}");
    }

    fn end(&self) {
        if self.is_live {
            let _closed = writeln!(std::io::stderr());
        }
    }
}

fn table(network: Network, pulled: &Pulled, dry_run: bool, begin: Instant) {
    let settled = &pulled.applied.settled;
    let title = if dry_run { format!("{network} (dry run: nothing was kept)") } else { network.to_string() };
    let lines = [
        ("windows", pulled.windows.len().to_string()),
        ("pages", pulled.pages.to_string()),
        ("rows read", (settled.read + pulled.applied.quarantined).to_string()),
        ("new", settled.new.to_string()),
        ("changed", settled.changed.to_string()),
        ("unchanged", settled.unchanged.to_string()),
        ("matched", settled.matched.to_string()),
        ("unmatched", settled.unmatched.to_string()),
        ("quarantined", pulled.applied.quarantined.to_string()),
        ("ledger entries", settled.postings.to_string()),
        ("seconds", format!("{:.1}", begin.elapsed().as_secs_f32())),
    ];
    let lines: Vec<_> = lines.iter().map(|(name, value)| format!("  {name:<16}{value:>12}")).collect();
    let text = format!("{title}\n{}\n", lines.join("\n"));
    let _closed = std::io::stdout().write_all(text.as_bytes());
}
