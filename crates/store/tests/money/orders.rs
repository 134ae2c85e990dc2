//! An order costs what its lines cost.

use std::time::Duration;

use domain::ids::{OrderId, ProductId};
use domain::money::Paise;
use store::orders;
use testkit::eventually_true;

use crate::shop::{Shop, count};

#[tokio::test]
async fn a_product_that_changes_while_it_is_ordered_is_sold_as_it_was() {
    let shop = Shop::open().await;
    let (user, product, order) = (shop.shopper("asha").await, ProductId::generate(), OrderId::generate());
    let client = shop.client().await;
    let insert = "INSERT INTO products (id, title, face_value_paise, price_paise, kind)
                  VALUES ($1, 'Demo voucher', 50000, 49900, 'voucher')";
    client.execute(insert, &[&product]).await.unwrap();
    // The order waits for its shopper's row, after its prices were read.
    let mut holder = shop.client().await;
    let hold = holder.transaction().await.unwrap();
    hold.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", &[&user]).await.unwrap();
    let made = async { orders::create(&shop.client().await, order, user, "order_1", &[(product, 2)]).await.unwrap() };
    let changed = async {
        let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually_true("the order waits", Duration::from_secs(20), async || count(&shop, waiting).await == 1).await;
        let change = "UPDATE products SET price_paise = 39900, active = false WHERE id = $1";
        client.execute(change, &[&product]).await.unwrap();
        hold.commit().await.unwrap();
    };
    let (total, ()) = tokio::join!(made, changed);
    let lines = orders::items(&client, order).await.unwrap();
    assert_eq!((total, lines.len()), (Paise::new(99_800), 1));
    assert_eq!((lines[0].unit_price, lines[0].quantity), (Paise::new(49_900), 2));
}
