//! Redirects of offers that nobody has asked for yet: from Postgres, by the redirector's binary.

use domain::ids::OfferId;
use testkit::{Redis, Service, http, seed};

use super::{Curve, postgres};

/// Offers that are asked for at each size.
const ASKED: usize = 100;

pub(crate) async fn measure(sizes: &[usize]) -> Vec<Curve> {
    let (cluster, pool) = postgres().await;
    let client = pool.get().await.unwrap();
    let mut cold = Curve::new("redirect of an offer from Postgres", "ms");
    let mut warm = Curve::new("the same, from memory", "ms");
    let mut there = 0;
    for size in sizes {
        seed::offers(&client, size - there).await;
        there = *size;
        let sql = "SELECT id FROM offers ORDER BY random() LIMIT $1";
        let rows = client.query(sql, &[&i64::try_from(ASKED).unwrap()]).await.unwrap();
        let offers: Vec<OfferId> = rows.iter().map(|row| row.get(0)).collect();
        let (redis, folder) = (Redis::start(), tempfile::tempdir().unwrap());
        let redirector = Service::start(
            "redirector",
            &[
                ("DATABASE_URL", &cluster.url("postgres")),
                ("REDIS_URL", &redis.url()),
                ("REDIRECT_SPOOL_DIR", &folder.path().display().to_string()),
                ("REDIRECT_LIMIT", "1000000"),
                ("JWT_SECRET", "synthetic-session-secret-of-the-bench"),
            ],
        );
        redirector.ready().await;
        // Connections are made before anything is measured.
        ask(&redirector, &[OfferId::generate()], 404).await;
        cold.add(*size, ask(&redirector, &offers, 302).await);
        warm.add(*size, ask(&redirector, &offers, 302).await);
    }
    vec![cold, warm]
}

/// The mean time of these redirects, in milliseconds, by the redirector's own histogram.
async fn ask(redirector: &Service, offers: &[OfferId], status: u16) -> f64 {
    let before = taken(redirector).await;
    for offer in offers {
        let request =
            http().get(format!("{}/out/{offer}", redirector.http())).header("user-agent", "Mozilla/5.0 (X11)");
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let after = taken(redirector).await;
    1e3 * (after.0 - before.0) / (after.1 - before.1)
}

/// Seconds and number of all requests so far.
async fn taken(redirector: &Service) -> (f64, f64) {
    let text = http().get(format!("{}/metrics", redirector.ops())).send().await.unwrap().text().await.unwrap();
    let total = |name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains("/out"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    (total("http_request_duration_seconds_sum"), total("http_request_duration_seconds_count"))
}
