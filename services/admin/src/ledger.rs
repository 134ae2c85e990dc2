//! `admin ledger`: whether the ledger is what it was when it was sealed.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Subcommand;
use store::Pool;
use store::wallet::chain::{self, KeptHead};
use store::wallet::{self, Drift};

use crate::command::print;

/// How often a reader that is no terminal hears of progress.
const PAUSE: Duration = Duration::from_secs(2);
/// Wallets whose balance is wrong that are told one by one.
const DRIFTS: i64 = 100;

/// What can be asked of the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Recompute the chain over the ledger; ends with 1 when a row was altered, removed, added or reordered
    Verify {
        /// A head that was kept outside, as this command and cashback-sync's log tell it: number:hash
        #[arg(long)]
        head: Option<KeptHead>,
    },
    /// Print the head of the chain, to be kept where nobody who can write to the database can write
    Head,
}

pub(crate) async fn run(command: Command, pool: &Pool) -> anyhow::Result<()> {
    let mut client = pool.get().await?;
    match command {
        Command::Head => {
            print(&chain::last(&client).await?.keep().to_string());
            Ok(())
        }
        Command::Verify { head } => {
            let mut bar = Bar::new();
            let verified = chain::verify(&mut client, head.as_ref(), &mut |done, total| bar.show(done, total)).await;
            bar.end();
            let verified = verified?;
            for fault in &verified.faults {
                print(&format!("fault: {fault}"));
            }
            let told = u64::try_from(verified.faults.len()).unwrap_or(u64::MAX);
            if verified.fault_count > told {
                print(&format!("… and {} faults more", verified.fault_count - told));
            }
            let drifts = wallet::drift(&client, DRIFTS).await?;
            for Drift { user_id, balance, entries } in &drifts {
                print(&format!("fault: the wallet of {user_id} holds {balance}, expected {entries} by its entries"));
            }
            print(&format!("{} rows in {} blocks are as they were sealed", verified.rows, verified.blocks));
            print(&format!("head {}", verified.head.keep()));
            if let (count @ 1.., Some(since)) = verified.unsealed {
                print(&format!("{count} rows are not sealed yet, the oldest since {}", since.to_rfc3339()));
            }
            if verified.fault_count > 0 {
                bail!("the ledger is not as it was sealed: {} faults", verified.fault_count);
            }
            if !drifts.is_empty() {
                bail!("{} wallets do not hold what their entries come to", drifts.len());
            }
            Ok(())
        }
    }
}

/// A bar on a terminal, a line every two seconds elsewhere.
struct Bar {
    is_live: bool,
    begin: Instant,
    last: Option<Instant>,
}

impl Bar {
    fn new() -> Self {
        Self { is_live: std::io::stderr().is_terminal(), begin: Instant::now(), last: None }
    }

    fn show(&mut self, done: u64, total: u64) {
        const WIDTH: usize = 30;
        let pause = if self.is_live { PAUSE / 20 } else { PAUSE };
        if done < total && self.last.is_some_and(|last| last.elapsed() < pause) {
            return;
        }
        self.last = Some(Instant::now());
        let percent = (done.saturating_mul(100)).checked_div(total).unwrap_or(100).min(100);
        let full = usize::try_from(percent).unwrap_or_default() * WIDTH / 100;
        let (before, after) = if self.is_live { ("\r", "") } else { ("", "\n") };
        let seconds = self.begin.elapsed().as_secs_f32();
        // Progress that nobody reads is no reason to stop.
        let _closed = write!(
            std::io::stderr(),
            "{before}[{:<WIDTH$}] {percent:>3} %  {done} of {total} rows, {seconds:.1} s{after}",
            "#".repeat(full)
        );
    }

    fn end(&self) {
        if self.is_live && self.last.is_some() {
            let _closed = writeln!(std::io::stderr());
        }
    }
}
