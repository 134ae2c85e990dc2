//! Ten thousand shoppers, a merchant, clicks, and what its network reports.

use chrono::{DateTime, TimeDelta, Utc};
use domain::click::{ClickClass, sub_id};
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::transaction::{NetworkTransaction, SubId, TransactionStatus};
use store::Pool;

use crate::bare::Server;
use crate::{FLUSH, PURCHASES};

pub(crate) struct Shop {
    pub(crate) pool: Pool,
    pub(crate) users: Vec<UserId>,
    merchant: MerchantId,
    offer: OfferId,
    clicked: Vec<ClickId>,
    start: DateTime<Utc>,
}

impl Shop {
    pub(crate) async fn open(server: &Server, connections: usize) -> Self {
        let (url, connections) = (format!("{}/bench", server.url), connections.to_string());
        let source =
            config::Map::from([("DATABASE_URL", url.as_str()), ("DATABASE_MAX_CONNECTIONS", connections.as_str())]);
        let mut reader = config::Reader::new(&source);
        // As the services that post have it.
        let pool = Pool::connect_by_key(&store::Settings::read(&mut reader)).unwrap();
        store::migrate::run(&pool).await.unwrap();
        let users: Vec<_> = (0..10_000).map(|_| UserId::generate()).collect();
        let mut client = pool.get().await.unwrap();
        let insert = "INSERT INTO users (id, name, email, lang) SELECT id, 'S', 's+' || id || '@example.in', 'en' FROM unnest($1::uuid[]) AS n (id)";
        client.execute(insert, &[&users]).await.unwrap();
        let (merchant, offer) = (MerchantId::generate(), OfferId::generate());
        client
            .execute(
                "INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps, active, version)
                 VALUES ($1, 'Shoes', 'admitad', '100', 'https://track.example.com/?subid={click_id}&url={url}', '{shoes.example.in}', 'https://shoes.example.in/', 5000, true, 1)",
                &[&merchant],
            )
            .await
            .unwrap();
        let mut shop =
            Self { pool, users, merchant, offer, clicked: Vec::new(), start: Utc::now() - TimeDelta::days(1) };
        let clicks: Vec<_> = (0..PURCHASES).map(|number| shop.click(number)).collect();
        for batch in clicks.chunks(FLUSH) {
            testkit::seed::clicks(&mut client, batch).await;
        }
        shop.clicked = clicks.iter().map(|click| click.click_id).collect();
        drop(client);
        shop
    }

    pub(crate) fn user(&self, number: usize) -> UserId {
        self.users[number % self.users.len()]
    }

    pub(crate) fn click(&self, number: usize) -> RecordClick {
        RecordClick {
            click_id: ClickId::generate(),
            offer_id: self.offer,
            merchant_id: self.merchant,
            network: Network::Admitad,
            user_id: Some(self.user(number)),
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

    /// A third is confirmed, the rest still pending, as in a daily pull.
    pub(crate) fn report(&self, number: usize) -> NetworkTransaction {
        let click = self.clicked[number];
        let status = if number.is_multiple_of(3) { TransactionStatus::Confirmed } else { TransactionStatus::Pending };
        NetworkTransaction {
            network: Network::Admitad,
            external_id: number.to_string(),
            campaign_id: Some("100".to_owned()),
            sub_ids: vec![SubId { name: "subid4".to_owned(), value: sub_id(click) }],
            order_ref: Some(format!("OD-{number}")),
            sale: Some(Paise::new(100_000)),
            commission: Paise::new(10_000),
            foreign: None,
            raw_status: "pending".to_owned(),
            status,
            funded: false,
            reason: None,
            clicked_at: None,
            occurred_at: self.start,
            status_updated_at: Some(self.start),
            observed_at: self.start,
            raw: format!(
                "{{\"id\":{number},\"action_id\":{number},\"order_id\":\"OD-{number}\",\"status\":\"pending\",\"payment\":\"100.00\",\"currency\":\"INR\"}}"
            ),
        }
    }
}
