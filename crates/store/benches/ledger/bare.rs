//! The throw-away Postgres, and the same work without us.

use std::pin::pin;
use std::process::Command;
use std::time::{Duration, Instant};

use postgres_types::Type;
use tokio_postgres::binary_copy::BinaryCopyInWriter;

use crate::shop::Shop;

/// A Postgres that ends with this process.
pub(crate) struct Server {
    /// `postgres://shop@…`, without a database.
    pub(crate) url: String,
    folder: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let told = std::env::temp_dir().join(format!("ledger-bench-{}", std::process::id()));
        std::fs::write(&told, "").unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/setup/postgres.sh");
        let ended =
            Command::new(script).env("NEXTEST_ENV", &told).stdout(std::process::Stdio::null()).status().unwrap();
        assert!(ended.success(), "Postgres starts");
        let text = std::fs::read_to_string(&told).unwrap();
        std::fs::remove_file(&told).unwrap();
        let url = text.trim().strip_prefix("TEST_DATABASE_SERVER=").unwrap().to_owned();
        let folder = url.strip_prefix("postgres://shop@").unwrap().replace("%2F", "/");
        let server = Self { url, folder };
        // The tests' server forgets at a crash; what is measured here must not.
        for statement in [
            "ALTER SYSTEM SET fsync = on",
            "ALTER SYSTEM SET full_page_writes = on",
            "SELECT pg_reload_conf()",
            "CREATE DATABASE bench",
        ] {
            server.psql("postgres", statement);
        }
        server
    }

    fn psql(&self, database: &str, statement: &str) {
        let ended = Command::new("psql")
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-h", &self.folder, "-U", "shop", "-d", database, "-c", statement])
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(ended.success(), "{statement}");
    }

    /// Credits of a wallet in one statement: the balance and one row for it, no idempotency, no double entry.
    pub(crate) fn credits(&self, clients: usize, period: Duration) -> f64 {
        self.psql(
            "bench",
            "CREATE TABLE IF NOT EXISTS plain_wallets (id int PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 70);
             CREATE TABLE IF NOT EXISTS plain_entries (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), wallet int NOT NULL, amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
             INSERT INTO plain_wallets SELECT n, 0 FROM generate_series(1, 10000) n ON CONFLICT DO NOTHING",
        );
        self.pgbench(
            clients,
            period,
            "\\set wallet random(1, 10000)\nWITH credited AS (UPDATE plain_wallets SET balance = balance + 100 WHERE id = :wallet RETURNING id) \
             INSERT INTO plain_entries (wallet, amount) SELECT id, 100 FROM credited;\n",
        )
    }

    /// The rows that a posting writes, in one statement, with the ledger's columns and indexes, and nothing that is asked of them:
    /// no check, no account looked up, no function. More than this the ledger cannot do one by one.
    pub(crate) fn entries(&self, clients: usize, period: Duration) -> f64 {
        self.psql(
            "bench",
            "CREATE TABLE IF NOT EXISTS plain_ledger (LIKE wallet_transactions INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES);",
        );
        self.pgbench(
            clients,
            period,
            "\\set wallet random(1, 10000)\n\\set key random(1, 9000000000000000)\n\
             WITH credited AS (UPDATE plain_wallets SET balance = balance + 100 WHERE id = :wallet RETURNING id, balance) \
             INSERT INTO plain_ledger (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash, user_id, \
                                       balance_after_paise, reason) \
             SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', lpad(id::text, 32, '0')::uuid, 100, 'cashback_credit', \
                    'plain:' || :key::bigint, sha256(int8send(balance)), lpad(id::text, 32, '0')::uuid, balance, '{}' FROM credited \
             ON CONFLICT (idempotency_key) DO NOTHING;\n",
        )
    }

    fn pgbench(&self, clients: usize, period: Duration, statements: &str) -> f64 {
        let script = std::env::temp_dir().join(format!("ledger-bench-{}.sql", std::process::id()));
        std::fs::write(&script, statements).unwrap();
        let output = Command::new("pgbench")
            .args(["-n", "-M", "prepared", "-h", &self.folder, "-U", "shop", "-c", &clients.to_string(), "-j", "2"])
            .args(["-T", &period.as_secs().to_string(), "-f"])
            .arg(&script)
            .arg("bench")
            .output()
            .unwrap();
        std::fs::remove_file(&script).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with("tps =")).unwrap_or_else(|| panic!("{text} {output:?}"));
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    }
}

/// The same rows by `COPY` straight into the table.
pub(crate) async fn copy(shop: &Shop, count: usize, batch: usize) -> f64 {
    let clicks: Vec<_> = (0..count).map(|number| shop.click(number)).collect();
    let types = [
        Type::UUID,
        Type::UUID,
        Type::UUID,
        Type::TEXT,
        Type::UUID,
        Type::INT4,
        Type::INT8,
        Type::INT4,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TIMESTAMPTZ,
    ];
    let begin = Instant::now();
    let mut client = shop.pool.get().await.unwrap();
    for clicks in clicks.chunks(batch) {
        let transaction = client.transaction().await.unwrap();
        let sink = transaction
            .copy_in(
                "COPY affiliate_clicks (id, offer_id, merchant_id, network, user_id, rate_bps, cap_paise, offer_version, class, reason,
                                        client_hash, user_agent, clicked_at) FROM STDIN (FORMAT binary)",
            )
            .await
            .unwrap();
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for click in clicks {
            writer
                .as_mut()
                .write(&[
                    &click.click_id,
                    &click.offer_id,
                    &click.merchant_id,
                    &click.network.slug(),
                    &click.user_id,
                    &click.rate,
                    &click.cap,
                    &click.offer_version,
                    &"human",
                    &click.reason,
                    &click.client_hash,
                    &click.user_agent,
                    &click.clicked_at,
                ])
                .await
                .unwrap();
        }
        writer.finish().await.unwrap();
        transaction.commit().await.unwrap();
    }
    crate::per_second(count, begin)
}

/// Processor seconds of a process so far, from the kernel's account in hundredths.
pub(crate) fn processor_seconds(process: u32) -> f64 {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in parentheses, may hold anything; user and system time stand 12 and 13 fields behind it.
    let fields: Vec<_> = line.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}
