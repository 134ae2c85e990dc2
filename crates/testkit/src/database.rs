//! A database of one's own on the run's throw-away Postgres.

use std::sync::atomic::{AtomicU32, Ordering};

use config::{Map, Reader};
use domain::ids::JobId;
use store::Pool;
use tokio_postgres::{Client, NoTls};

/// A migrated database that is dropped with this value.
pub struct Database {
    server: String,
    name: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Database {
    /// A database with all migrations applied, copied from a template that the first test of a run makes.
    pub async fn start() -> Self {
        let template = template().await;
        Self::create(&format!("TEMPLATE {template}")).await
    }

    /// A database without any table.
    pub async fn empty() -> Self {
        Self::create("TEMPLATE template0").await
    }

    async fn create(options: &str) -> Self {
        let server = server();
        let name = format!("t_{}_{}", JobId::generate().as_uuid().simple(), COUNT.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&server, "postgres").await;
        admin.batch_execute(&format!("CREATE DATABASE {name} {options}")).await.expect("a database can be made");
        Self { server, name }
    }

    /// Its URL, as services take it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// A pool on it.
    #[must_use]
    pub fn pool(&self) -> Pool {
        pool(&self.url())
    }

    /// A plain connection to it.
    pub async fn client(&self) -> Client {
        connect(&self.server, &self.name).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A test may end without a runtime, so the farewell has a thread and a runtime of its own.
        let _ended = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let admin = connect(&server, "postgres").await;
                let _left_to_the_server =
                    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            });
        })
        .join();
    }
}

fn server() -> String {
    // Tests read the environment themselves: settings are what is under test.
    #[expect(clippy::disallowed_methods, reason = "told by tests/setup/postgres.sh")]
    std::env::var("TEST_DATABASE_SERVER").expect(
        "TEST_DATABASE_SERVER is not set: run tests by `make test` or `cargo nextest run`, which start Postgres",
    )
}

/// A pool on the database with this URL; [`Database::pool`] for one of ours.
#[must_use]
pub fn pool(url: &str) -> Pool {
    let source = Map::from([("DATABASE_URL", url)]);
    let mut reader = Reader::new(&source);
    let settings = store::Settings::read(&mut reader);
    Pool::connect(&reader.finish(settings).expect("a good URL")).expect("a pool")
}

#[expect(clippy::disallowed_methods, reason = "tests look at the database past our own pool")]
async fn connect(server: &str, name: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&format!("{server}/{name}"), NoTls).await.expect("Postgres can be reached");
    tokio::spawn(connection);
    client
}

/// The migrated template, made once per server under a lock, whoever comes first.
async fn template() -> &'static str {
    const NAME: &str = "shop_template";
    let server = server();
    let admin = connect(&server, "postgres").await;
    admin.batch_execute("SELECT pg_advisory_lock(7461)").await.expect("the lock");
    let there = admin
        .query_one("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", &[&NAME])
        .await
        .expect("an answer");
    if !there.get::<_, bool>(0) {
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {NAME}")).await.expect("no half-made template");
        admin.batch_execute(&format!("CREATE DATABASE {NAME}")).await.expect("a template");
        {
            let pool = pool(&format!("{server}/{NAME}"));
            store::migrate::run(&pool).await.expect("the migrations apply");
        }
        // The pool's connections are closing; a copy needs the template to be idle.
        admin
            .batch_execute(&format!(
                "ALTER DATABASE {NAME} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{NAME}'"
            ))
            .await
            .expect("a finished template");
    }
    admin.batch_execute("SELECT pg_advisory_unlock(7461)").await.expect("unlocked");
    NAME
}
