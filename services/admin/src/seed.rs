//! Demo data: a small shop that can be tried. The ids are fixed, so running it again changes nothing but what differs.

use std::fmt;

use anyhow::Context as _;
use domain::clock::{Clock as _, SystemClock};
use domain::contact::{EmailAddress, Mobile};
use domain::ids::{MerchantId, OfferId, ProductId, UserId, VoucherCodeId};
use domain::jobs::Language;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::offer::{AllowedHosts, Schemes, Target, TrackingTemplate};
use serde::Serialize;
use store::catalogue::{self, Merchant, Offer, Product, ProductKind};
use store::vouchers::{self, Cipher};
use store::{GenericClient, Pool, users};

/// What was put into the database.
#[derive(Debug, Serialize)]
pub(crate) struct Seeded {
    users: Vec<SeededUser>,
    merchants: Vec<SeededMerchant>,
    products: Vec<SeededProduct>,
}

#[derive(Debug, Serialize)]
struct SeededUser {
    id: UserId,
    name: &'static str,
    email: &'static str,
    mobile: &'static str,
}

#[derive(Debug, Serialize)]
struct SeededMerchant {
    id: MerchantId,
    name: &'static str,
    network: Network,
    offers: Vec<OfferId>,
}

#[derive(Debug, Serialize)]
struct SeededProduct {
    id: ProductId,
    title: &'static str,
    price_paise: i64,
    codes: usize,
}

impl fmt::Display for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for user in &self.users {
            writeln!(f, "shopper   {}  {} <{}>", user.id, user.name, user.email)?;
        }
        for merchant in &self.merchants {
            writeln!(f, "merchant  {}  {} ({})", merchant.id, merchant.name, merchant.network)?;
            for offer in &merchant.offers {
                writeln!(f, "offer     {offer}  /out/{offer}")?;
            }
        }
        for product in &self.products {
            writeln!(f, "product   {}  {} ({} codes)", product.id, product.title, product.codes)?;
        }
        Ok(())
    }
}

/// The fixed ids are `UUIDv7` in form; the group says what they are of.
fn fixed<Id>(group: u8, number: u8, make: impl Fn(&str) -> anyhow::Result<Id>) -> anyhow::Result<Id> {
    make(&format!("01980000-{group:04x}-7000-8000-0000000000{number:02x}"))
}

macro_rules! fixed_id {
    ($type:ty, $group:expr, $number:expr) => {
        fixed($group, $number, |text| Ok(text.parse::<$type>()?))
    };
}

struct Shop {
    number: u8,
    name: &'static str,
    page: &'static str,
    network: Network,
    template: &'static str,
    cashback_bps: i32,
    cap_rupees: Option<i64>,
    offers: &'static [(&'static str, &'static str)],
}

const SHOPS: [Shop; 3] = [
    Shop {
        number: 1,
        name: "Kirana Express",
        page: "kirana",
        network: Network::Admitad,
        template: "/admitad/g/demo/?ulp={url}&subid={click_id}&subid4={click_id}",
        cashback_bps: 6_000,
        cap_rupees: Some(500),
        offers: &[("Monthly groceries, up to 6% back", "monthly"), ("Fresh fruit before nine", "fruit")],
    },
    Shop {
        number: 2,
        name: "Sari Bazaar",
        page: "saribazaar",
        network: Network::Vcommission,
        template: "/vcommission/click?campaign_id=10001&pub_id=1&p1={click_id}&url={url}",
        cashback_bps: 5_000,
        cap_rupees: None,
        offers: &[("Silk saris for the season", "silk")],
    },
    Shop {
        number: 3,
        name: "Gadget Galli",
        page: "gadgets",
        network: Network::Cuelinks,
        template: "/cuelinks/?cid=100001&source=linkkit&subid={click_id}&url={url}",
        cashback_bps: 7_000,
        cap_rupees: Some(1_500),
        offers: &[("Phones and headphones", "phones")],
    },
];

const SHOPPERS: [(u8, &str, &str, &str, Language); 2] = [
    (1, "Asha Rao", "asha@example.in", "+919800000001", Language::En),
    (2, "Ravi Kumar", "ravi@example.in", "+919800000002", Language::Hi),
];

/// How many unused codes a voucher product has after seeding.
const CODES: usize = 25;

/// Puts the demo data in. `links_base` is where the networks' links and the shops' pages are.
pub(crate) async fn run(pool: &Pool, cipher: &Cipher, links_base: &str) -> anyhow::Result<Seeded> {
    let base = url::Url::parse(links_base).with_context(|| format!("--links-base {links_base:?} is no URL"))?;
    let host = base.host_str().context("--links-base has no host")?;
    let authority = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let base = base.as_str().trim_end_matches('/');

    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let mut seeded = Seeded { users: Vec::new(), merchants: Vec::new(), products: Vec::new() };
    for (number, name, email, mobile, lang) in SHOPPERS {
        let id = fixed_id!(UserId, 1, number)?;
        if users::find(&transaction, id).await?.is_none() {
            let (address, phone): (EmailAddress, Mobile) = (email.parse()?, mobile.parse()?);
            users::insert(&transaction, id, name, Some(&address), Some(phone), lang).await?;
        }
        seeded.users.push(SeededUser { id, name, email, mobile });
    }
    for shop in &SHOPS {
        seeded.merchants.push(seed_shop(&transaction, shop, base, &authority).await?);
    }
    for (number, title, face_rupees, price_rupees) in
        [(1, "Kirana Express voucher ₹500", 500, 480), (2, "Gadget Galli voucher ₹1,000", 1_000, 950)]
    {
        seeded.products.push(seed_product(&transaction, cipher, number, title, face_rupees, price_rupees).await?);
    }
    transaction.commit().await?;
    Ok(seeded)
}

async fn seed_shop(
    client: &impl GenericClient,
    shop: &Shop,
    base: &str,
    authority: &str,
) -> anyhow::Result<SeededMerchant> {
    let id = fixed_id!(MerchantId, 2, shop.number)?;
    let landing_url = format!("{base}/shop/{}", shop.page);
    let merchant = Merchant {
        id,
        name: shop.name.to_owned(),
        network: shop.network,
        campaign_id: "10001".to_owned(),
        tracking_template: format!("{base}{}", shop.template),
        allowed_hosts: vec![authority.to_owned()],
        landing_url: landing_url.clone(),
        cashback: BasisPoints::new(shop.cashback_bps)?,
        cashback_cap: shop.cap_rupees.map(Paise::from_rupees).transpose()?,
        active: true,
        version: 1,
        updated_at: SystemClock.now(),
    };
    // What the redirector would refuse is refused here.
    let hosts = AllowedHosts::parse(&merchant.allowed_hosts)?;
    TrackingTemplate::parse(shop.network, &merchant.tracking_template, Schemes::HttpToo)?;
    put_merchant(client, merchant).await?;
    let mut offers = Vec::new();
    for (index, (title, page)) in (1_u8..).zip(shop.offers) {
        let offer = Offer {
            id: fixed_id!(OfferId, 3, shop.number * 16 + index)?,
            merchant_id: id,
            title: (*title).to_owned(),
            target_url: format!("{landing_url}/{page}"),
            cashback: None,
            cashback_cap: None,
            active: true,
            expires_at: None,
            version: 1,
            updated_at: SystemClock.now(),
        };
        Target::parse(&offer.target_url, &hosts, Schemes::HttpToo)?;
        offers.push(offer.id);
        put_offer(client, offer).await?;
    }
    Ok(SeededMerchant { id, name: shop.name, network: shop.network, offers })
}

/// Adds a merchant, or makes the one that is there like it.
async fn put_merchant(client: &impl GenericClient, merchant: Merchant) -> anyhow::Result<()> {
    match catalogue::find_merchant(client, merchant.id).await? {
        None => catalogue::insert_merchant(client, &merchant).await?,
        Some(there) => {
            let (version, updated_at) = (there.version, there.updated_at);
            let wanted = Merchant { version, updated_at, ..merchant };
            if there != wanted {
                catalogue::update_merchant(client, &wanted).await?;
            }
        }
    }
    Ok(())
}

/// Adds an offer, or makes the one that is there like it.
async fn put_offer(client: &impl GenericClient, offer: Offer) -> anyhow::Result<()> {
    match catalogue::find_offer(client, offer.id).await? {
        None => catalogue::insert_offer(client, &offer).await?,
        Some(there) => {
            let (version, updated_at) = (there.version, there.updated_at);
            let wanted = Offer { version, updated_at, ..offer };
            if there != wanted {
                catalogue::update_offer(client, &wanted).await?;
            }
        }
    }
    Ok(())
}

async fn seed_product(
    client: &impl GenericClient,
    cipher: &Cipher,
    number: u8,
    title: &'static str,
    face_rupees: i64,
    price_rupees: i64,
) -> anyhow::Result<SeededProduct> {
    let id = fixed_id!(ProductId, 4, number)?;
    let price = Paise::from_rupees(price_rupees)?;
    if catalogue::find_products(client, &[id]).await?.is_empty() {
        let product = Product {
            id,
            merchant_id: None,
            title: title.to_owned(),
            kind: ProductKind::Voucher,
            face_value: Paise::from_rupees(face_rupees)?,
            price,
            active: true,
        };
        catalogue::insert_product(client, &product).await?;
    }
    // Codes that were sold are replaced, so the demo can be played any number of times.
    let unused = vouchers::count_unused(client, id).await?;
    for _ in unused..CODES {
        let code_id = VoucherCodeId::generate();
        let random = code_id.as_uuid().simple().to_string().to_uppercase();
        let code = format!("DEMO-{}-{}", random.get(16..24).unwrap_or_default(), random.get(24..).unwrap_or_default());
        vouchers::insert(client, code_id, id, &cipher.seal(code_id, &code)?).await?;
    }
    catalogue::set_stock(client, id, i32::try_from(CODES)?, 5).await?;
    Ok(SeededProduct { id, title, price_paise: price.get(), codes: CODES })
}
