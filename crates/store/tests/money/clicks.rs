//! Clicks are stored once, however often and in whatever company they come.

use domain::jobs::click::RecordClick;
use domain::network::Network;
use futures_util::future::join_all;
use store::clicks::{self, Carried};

use crate::shop::Shop;

async fn record(shop: &Shop, batch: &[RecordClick]) -> u64 {
    testkit::seed::clicks(&mut shop.client().await, batch).await
}

/// More than fits the way to Postgres at once, so that it refuses while we still send.
fn many(shop: &Shop, count: usize) -> Vec<RecordClick> {
    (0..count).map(|_| shop.click(Network::Admitad, None, 5_000, None)).collect()
}

#[tokio::test]
async fn of_a_batch_only_what_is_not_there_yet_is_written() {
    let shop = Shop::open().await;
    let all = many(&shop, 6_000);
    assert_eq!(record(&shop, &all[..1_000]).await, 1_000);
    // The first of them, the last of them, all of them and none of them are known.
    assert_eq!(record(&shop, &all[999..4_000]).await, 3_000);
    let mut known_last = all[4_000..5_000].to_vec();
    known_last.push(all[0].clone());
    assert_eq!(record(&shop, &known_last).await, 1_000);
    assert_eq!(record(&shop, &all[..5_000]).await, 0);
    assert_eq!(record(&shop, &all[5_000..]).await, 1_000);
    assert_eq!(record(&shop, &[]).await, 0);

    let ids: Vec<_> = all.iter().map(|click| click.click_id).collect();
    assert_eq!(clicks::find_many(&shop.client().await, &ids).await.unwrap().len(), 6_000);
}

#[tokio::test]
async fn a_click_that_stands_twice_in_a_batch_is_stored_as_it_came_first() {
    let shop = Shop::open().await;
    let mut batch = many(&shop, 10);
    let mut again = batch[3].clone();
    again.offer_version = 7;
    batch.push(again.clone());
    assert_eq!(record(&shop, &batch).await, 10);
    assert_eq!(record(&shop, &[again.clone()]).await, 0);
    let found = clicks::find_many(&shop.client().await, &[again.click_id]).await.unwrap();
    assert_eq!(found.iter().map(|click| click.offer_version).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn flushes_that_share_clicks_store_each_once() {
    let shop = Shop::open().await;
    let all = many(&shop, 2_000);
    let flushes = (0..4).map(|number| record(&shop, &all[number * 250..number * 250 + 1_250]));
    assert_eq!(join_all(flushes).await.into_iter().sum::<u64>(), 2_000);
}

#[tokio::test]
async fn what_postgres_cannot_hold_is_left_out_of_every_text() {
    let shop = Shop::open().await;
    let mut click = shop.click(Network::Admitad, None, 5_000, None);
    click.user_agent = "zero\0byte".to_owned();
    let carried = Carried { traceparent: Some("00-\0trace".to_owned()), correlation_id: Some("an\0other".to_owned()) };
    assert_eq!(clicks::record(&mut shop.client().await, &[(&click, &carried)]).await.unwrap(), 1);
    let found = clicks::find_many(&shop.client().await, &[click.click_id]).await.unwrap();
    let carried = Carried { traceparent: Some("00-trace".to_owned()), correlation_id: Some("another".to_owned()) };
    assert_eq!(found[0].carried, carried);
}
