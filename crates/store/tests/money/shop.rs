//! A small shop to test the money on: shoppers, a merchant of each network, clicks, and what networks report.

use chrono::{DateTime, TimeDelta, Utc};
use domain::click::{ClickClass, sub_id};
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::jobs::Language;
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::transaction::{NetworkTransaction, SubId, TransactionStatus};
use store::catalogue::{self, Merchant, Offer};
use store::{Client, Pool, users};

pub(crate) struct Shop {
    pub(crate) database: testkit::Database,
    pub(crate) pool: Pool,
    pub(crate) merchants: Vec<(Network, MerchantId, OfferId)>,
    pub(crate) start: DateTime<Utc>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let database = testkit::Database::start().await;
        let pool = database.pool();
        let client = pool.get().await.unwrap();
        let mut merchants = Vec::new();
        for network in Network::ALL {
            let (merchant, offer) = (MerchantId::generate(), OfferId::generate());
            insert_merchant(&client, merchant, network, "100").await;
            let offer_row = Offer {
                id: offer,
                merchant_id: merchant,
                title: "All shoes".to_owned(),
                target_url: "https://shoes.example.in/all".to_owned(),
                cashback: None,
                cashback_cap: None,
                active: true,
                expires_at: None,
                version: 1,
                updated_at: Utc::now(),
            };
            catalogue::insert_offer(&client, &offer_row).await.unwrap();
            merchants.push((network, merchant, offer));
        }
        Self { database, pool, merchants, start: Utc::now() - TimeDelta::days(1) }
    }

    pub(crate) async fn client(&self) -> Client {
        self.pool.get().await.unwrap()
    }

    pub(crate) async fn shopper(&self, name: &str) -> UserId {
        let id = UserId::generate();
        let email = format!("{name}+{id}@example.in").parse().unwrap();
        users::insert(&self.client().await, id, name, Some(&email), None, Language::En).await.unwrap();
        id
    }

    /// A click, not yet recorded.
    pub(crate) fn click(&self, network: Network, user: Option<UserId>, rate: i32, cap: Option<i64>) -> RecordClick {
        let (_, merchant_id, offer_id) = *self.merchants.iter().find(|merchant| merchant.0 == network).unwrap();
        RecordClick {
            click_id: ClickId::generate(),
            offer_id,
            merchant_id,
            network,
            user_id: user,
            rate: BasisPoints::new(rate).unwrap(),
            cap: cap.map(Paise::new),
            offer_version: 1,
            class: ClickClass::Human,
            reason: String::new(),
            client_hash: "0badcafe".to_owned(),
            user_agent: "Mozilla/5.0".to_owned(),
            clicked_at: Utc::now(),
        }
    }

    pub(crate) async fn record(&self, clicks: &[RecordClick]) {
        testkit::seed::clicks(&mut self.client().await, clicks).await;
    }

    /// What a network says of a purchase after a click.
    pub(crate) fn report(
        &self,
        network: Network,
        external_id: &str,
        click: Option<ClickId>,
        age: i64,
    ) -> NetworkTransaction {
        let at = self.start + TimeDelta::seconds(age);
        NetworkTransaction {
            network,
            external_id: external_id.to_owned(),
            campaign_id: Some("100".to_owned()),
            sub_ids: click.map(|click| SubId { name: "subid".to_owned(), value: sub_id(click) }).into_iter().collect(),
            order_ref: Some(format!("order-{external_id}")),
            sale: Some(Paise::new(100_000)),
            commission: Paise::new(10_000),
            foreign: None,
            raw_status: "pending".to_owned(),
            status: TransactionStatus::Pending,
            funded: false,
            reason: None,
            clicked_at: None,
            occurred_at: self.start,
            status_updated_at: Some(at),
            observed_at: at,
            raw: format!("{{\"id\":\"{external_id}\"}}"),
        }
    }
}

pub(crate) async fn insert_merchant(client: &Client, id: MerchantId, network: Network, campaign: &str) {
    let carrier = if network == Network::Vcommission { "p1" } else { "subid" };
    let merchant = Merchant {
        id,
        name: format!("Shoes of {network}"),
        network,
        campaign_id: campaign.to_owned(),
        tracking_template: format!("https://track.example.com/?{carrier}={{click_id}}"),
        allowed_hosts: vec!["shoes.example.in".to_owned()],
        landing_url: "https://shoes.example.in/".to_owned(),
        cashback: BasisPoints::new(5_000).unwrap(),
        cashback_cap: None,
        active: true,
        version: 1,
        updated_at: Utc::now(),
    };
    catalogue::insert_merchant(client, &merchant).await.unwrap();
}

/// The report, changed.
pub(crate) fn with(mut report: NetworkTransaction, change: impl FnOnce(&mut NetworkTransaction)) -> NetworkTransaction {
    change(&mut report);
    report
}

pub(crate) fn status(report: NetworkTransaction, status: TransactionStatus) -> NetworkTransaction {
    with(report, |report| {
        report.status = status;
        status.word().clone_into(&mut report.raw_status);
        report.funded = status == TransactionStatus::Payable;
    })
}

pub(crate) async fn balance(shop: &Shop, user: UserId) -> i64 {
    store::wallet::balance(&shop.client().await, user).await.unwrap().unwrap().get()
}

/// The rows of a table, or of those that meet a condition.
pub(crate) async fn count(shop: &Shop, table_and_condition: &str) -> i64 {
    let text = format!("SELECT count(*) FROM {table_and_condition}");
    shop.client().await.query_one(text.as_str(), &[]).await.unwrap().get(0)
}
