//! The flush of clicks, and finding them by id, in a table that fills.

use std::time::Instant;

use chrono::Utc;
use domain::click::ClickClass;
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::jobs::click::RecordClick;
use domain::money::BasisPoints;
use domain::network::Network;
use store::{Client, clicks};

use super::{Curve, median_ms, postgres};

const FLUSH: usize = 500;
const FLUSHES: usize = 11;
/// What a page of a network's report asks for.
const PAGE: usize = 500;
const PAGES: usize = 31;

pub(crate) async fn measure(sizes: &[usize]) -> Vec<Curve> {
    let (_cluster, pool) = postgres().await;
    let mut client = pool.get().await.unwrap();
    let mut flushed = Curve::new("flush of 500 clicks", "ms");
    let mut found = Curve::new("500 clicks by id", "ms");
    for size in sizes {
        fill(&client, *size).await;
        let ids = sample(&client).await;
        let find = async |number: usize| {
            let page: Vec<_> = ids.iter().skip(number).step_by(PAGES).copied().collect();
            assert_eq!(clicks::find_many(&client, &page).await.unwrap().len(), PAGE, "all are found");
        };
        found.add(*size, median_ms(PAGES, find).await);
        let batches: Vec<Vec<_>> = (0..FLUSHES).map(|_| (0..FLUSH).map(|_| click()).collect()).collect();
        let flush = async |number: usize| {
            let written = testkit::seed::clicks(&mut client, &batches[number]).await;
            assert_eq!(written, u64::try_from(FLUSH).unwrap(), "all are new");
        };
        flushed.add(*size, median_ms(FLUSHES, flush).await);
    }
    vec![flushed, found]
}

fn click() -> RecordClick {
    RecordClick {
        click_id: ClickId::generate(),
        offer_id: OfferId::generate(),
        merchant_id: MerchantId::generate(),
        network: Network::Admitad,
        user_id: Some(UserId::generate()),
        rate: BasisPoints::new(5_000).unwrap(),
        cap: None,
        offer_version: 1,
        class: ClickClass::Human,
        reason: String::new(),
        client_hash: "0badcafe0badcafe".to_owned(),
        user_agent: "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile"
            .to_owned(),
        clicked_at: Utc::now(),
    }
}

/// Adds clicks of the last four weeks, evenly spread, until there are so many. Their ids are as ours are: the time first.
async fn fill(client: &Client, size: usize) {
    let sql = format!(
        "INSERT INTO affiliate_clicks (id, offer_id, merchant_id, network, user_id, rate_bps, offer_version, class, client_hash, user_agent, clicked_at)
         SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid, hash::uuid,
                md5('m' || number % 200)::uuid, 'admitad', md5('u' || number % 100000)::uuid, 5000, 1, 'human', '0badcafe0badcafe',
                'Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile', to_timestamp(ms / 1000.0)
         FROM (SELECT count(*) AS had, 28 * 86400000.0 / ({size} - count(*)) AS step FROM affiliate_clicks) there,
              generate_series(1, {size} - had) number,
              LATERAL (SELECT md5(had || '-' || number) AS hash,
                              (extract(epoch FROM now() - interval '28 days') * 1000 + number * step)::bigint AS ms) made"
    );
    let begin = Instant::now();
    for statement in [
        "SET synchronous_commit = off",
        &sql,
        "SET synchronous_commit = on",
        "VACUUM ANALYZE affiliate_clicks",
        "CHECKPOINT",
    ] {
        client.batch_execute(statement).await.unwrap();
    }
    println!("  ({size} clicks after {:.0} s)", begin.elapsed().as_secs_f64());
}

/// Ids from all over the table.
async fn sample(client: &Client) -> Vec<ClickId> {
    let sql = "SELECT id FROM affiliate_clicks
               WHERE random() < (SELECT 1.5 * $1::bigint / count(*) FROM affiliate_clicks) ORDER BY random() LIMIT $1";
    let wanted = i64::try_from(PAGE * PAGES).unwrap();
    let mut ids: Vec<ClickId> = client.query(sql, &[&wanted]).await.unwrap().iter().map(|row| row.get(0)).collect();
    // The smallest table holds fewer than are asked for: some are asked for twice, in different pages.
    let had = ids.len();
    (had..PAGE * PAGES).for_each(|place| ids.push(ids[place - had]));
    ids
}
