//! Every service, the simulated world around them, and what they share.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};

use domain::ids::{OfferId, ProductId, UserId};
use serde_json::{Value, json};
use store::{Client, Pool};
use testkit::{Service, Sim, binary};

/// The services of the system. The order is the one they are started in.
const SERVICES: [&str; 6] = ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"];

pub(crate) const SESSION_SECRET: &str = "synthetic-session-secret-of-the-demo";
/// What the simulated Razorpay signs with.
pub(crate) const RAZORPAY_SECRET: &str = "synthetic-razorpay-webhook-secret";
/// The last part of the path of postbacks and reports.
pub const POSTBACK_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What opens the redirector's figures.
pub const STATS_TOKEN: &str = "synthetic-token-of-the-figures";
/// Thirty-two bytes in base64; it protects demo codes only.
pub(crate) const VOUCHER_KEY: &str = "ZGVtby12b3VjaGVyLWtleS0wMTIzNDU2Nzg5YWJjZGU=";
const SMS_TEXTS: &str = include_str!("../../services/notifier/templates/sms.json");

/// Which ports the public sides take.
#[derive(Debug, Clone, Copy)]
pub enum Ports {
    /// Free ones.
    Free,
    /// The simulator, the redirector, webhooks and the console, from this one on.
    From(u16),
}

/// Where the system runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// Postgres, without tables or with them.
    pub database_url: String,
    /// Redis.
    pub redis_url: String,
    /// The ports.
    pub ports: Ports,
    /// A folder for spools.
    pub folder: std::path::PathBuf,
    /// People of the console, as `ROLE:MAIL:PASSWORD`.
    pub people: Vec<String>,
    /// Settings of the services besides, or instead of, those that the system needs.
    pub settings: Vec<(String, String)>,
}

/// Who and what the seed put there.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The shopper of the story.
    pub shopper: UserId,
    /// Where the shopper reads mail.
    pub email: String,
    /// Where the shopper reads texts, digits only.
    pub mobile: String,
    /// The offer clicked.
    pub offer: OfferId,
    /// The merchant's name.
    pub merchant: String,
    /// The voucher bought.
    pub product: ProductId,
    /// Its title.
    pub product_title: String,
}

/// A running system.
pub struct System {
    /// The world outside.
    pub sim: Sim,
    /// The database, for what a step has to show.
    pub pool: Pool,
    /// Redis, for what a step has to show.
    pub kv: kv::Kv,
    /// Who and what is there.
    pub cast: Cast,
    services: BTreeMap<&'static str, Service>,
    environment: Vec<(String, String)>,
    ports: Ports,
}

impl Ports {
    fn of(self, offset: u16) -> u16 {
        match self {
            Self::Free => 0,
            Self::From(first) => first.saturating_add(offset),
        }
    }
}

impl System {
    /// Starts the world, migrates and seeds with the real commands, and starts every service.
    pub async fn start(place: Place) -> Self {
        let sim = Sim::with_arguments(&["--port", &place.ports.of(0).to_string()]);
        let environment = environment(&place, &sim).await;
        run("admin", &["migrate"], &environment);
        let mut seed = vec!["seed".to_owned(), "--json".to_owned(), "--links-base".to_owned(), sim.at("")];
        for person in &place.people {
            seed.extend(["--person".to_owned(), person.clone()]);
        }
        let seed: Vec<_> = seed.iter().map(String::as_str).collect();
        let seeded = run("admin", &seed, &environment);
        let cast = Cast::read(&serde_json::from_str(&seeded).expect("the seed answers in JSON"));

        let (pool, kv) = connections(&place);
        let mut system = Self { sim, pool, kv, cast, services: BTreeMap::new(), environment, ports: place.ports };
        for name in SERVICES {
            system.launch(name).await;
        }
        system.direct_the_world().await;
        system
    }

    /// Starts a service, or another one in its place.
    pub async fn launch(&mut self, name: &'static str) {
        let offset = ["", "redirector", "webhooks", "admin"].into_iter().zip(0..).find(|(known, _)| *known == name);
        let address = format!("127.0.0.1:{}", offset.map_or(0, |(_, offset)| self.ports.of(offset)));
        let mut environment: Vec<_> =
            self.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        environment.push(("HTTP_ADDR", &address));
        let service = Service::start(name, &environment);
        service.ready().await;
        self.services.insert(name, service);
    }

    /// Every value that only the services may know.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let is_secret = |key: &str| ["SECRET", "TOKEN", "KEY", "AUTH"].iter().any(|word| key.contains(word));
        let secrets = self.environment.iter().filter(|(key, _)| is_secret(key) && !key.contains("PUBLIC"));
        secrets.map(|(_, value)| value.clone()).collect()
    }

    /// A running service.
    pub fn service(&mut self, name: &str) -> &mut Service {
        self.services.get_mut(name).expect("a service of the system")
    }

    /// Ends a service with SIGKILL.
    pub fn kill(&mut self, name: &str) {
        self.service(name).process().kill();
        self.services.remove(name);
    }

    /// All services, for what is asked of each.
    pub fn services(&mut self) -> impl Iterator<Item = (&'static str, &mut Service)> {
        self.services.iter_mut().map(|(name, service)| (*name, service))
    }

    /// The address of a service's public side, with a path.
    #[must_use]
    pub fn at(&self, name: &str, path: &str) -> String {
        format!("{}{path}", self.services[name].http())
    }

    /// The address of a service's ops side, with a path.
    #[must_use]
    pub fn ops(&self, name: &str, path: &str) -> String {
        format!("{}{path}", self.services[name].ops())
    }

    /// A connection to the database.
    pub async fn client(&self) -> Client {
        self.pool.get().await.expect("a connection")
    }

    /// Tells the simulated providers where our webhooks are.
    async fn direct_the_world(&self) {
        let webhook = |path: &str| self.at("webhooks", &format!("/webhooks/{path}"));
        let admitad = "?order_id=[[[order_id]]]&admitad_id=[[[admitad_id]]]&subid=[[[subid]]]&payment_status=[[[payment_status]]]";
        let settings = json!({
            "sendgrid_event_url": webhook("sendgrid"),
            "msg91_report_url": webhook(&format!("msg91/{POSTBACK_TOKEN}")),
            "admitad_postback_url": format!("{}{admitad}", webhook(&format!("admitad/{POSTBACK_TOKEN}"))),
            "vcommission_postback_url": webhook(&format!("vcommission/{POSTBACK_TOKEN}?click_id={{p1}}&txn_id={{txn_id}}&status={{status}}")),
            "cuelinks_postback_url": webhook(&format!("cuelinks/{POSTBACK_TOKEN}")),
            "razorpay_webhook_url": webhook("razorpay"),
            "razorpay_webhook_secret": RAZORPAY_SECRET,
            "msg91_templates": sms_texts(),
        });
        self.sim.post("/_sim/config", &settings).await;
    }
}

impl Cast {
    fn read(seeded: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (user, merchant, product) = (&seeded["users"][0], &seeded["merchants"][0], &seeded["products"][0]);
        Self {
            shopper: text(&user["id"]).parse().expect("an id"),
            email: text(&user["email"]),
            mobile: text(&user["mobile"]).trim_start_matches('+').to_owned(),
            offer: text(&merchant["offers"][0]).parse().expect("an id"),
            merchant: text(&merchant["name"]),
            product: text(&product["id"]).parse().expect("an id"),
            product_title: text(&product["title"]),
        }
    }
}

fn connections(place: &Place) -> (Pool, kv::Kv) {
    let addresses = [("DATABASE_URL", &place.database_url), ("REDIS_URL", &place.redis_url)];
    let addresses = addresses.map(|(key, value)| (key.to_owned(), value.clone()));
    let source: config::Map = place.settings.iter().cloned().chain(addresses).collect();
    let mut reader = config::Reader::new(&source);
    let (store, kv) = (store::Settings::read(&mut reader), kv::Settings::read(&mut reader));
    (Pool::connect(&store).expect("a pool"), kv::Kv::connect(&kv).expect("connections to Redis"))
}

async fn environment(place: &Place, sim: &Sim) -> Vec<(String, String)> {
    let sendgrid_key = sim.get("/_sim/keys").await["sendgrid"]["public_key"].as_str().expect("a key").to_owned();
    let flow = |template: &str| format!("flow-{template}");
    let mut environment: Vec<(String, String)> = [
        ("DATABASE_URL", place.database_url.clone()),
        ("REDIS_URL", place.redis_url.clone()),
        ("VOUCHER_KEY", VOUCHER_KEY.to_owned()),
        ("ALERT_EMAILS", "ops@example.in".to_owned()),
        // The redirector leads to the simulator, which speaks HTTP on a port.
        ("REDIRECT_ALLOW_HTTP", "true".to_owned()),
        ("REDIRECT_SECURE_COOKIES", "false".to_owned()),
        ("REDIRECT_SPOOL_DIR", place.folder.join("spool").display().to_string()),
        ("REDIRECT_STATS_TOKEN", STATS_TOKEN.to_owned()),
        ("JWT_SECRET", SESSION_SECRET.to_owned()),
        ("CLIENT_HASH_KEY", "synthetic-client-hash-key".to_owned()),
        ("CLICK_FLUSH_INTERVAL_MS", "250".to_owned()),
        ("ADMITAD_CLIENT_ID", "demo".to_owned()),
        ("ADMITAD_CLIENT_SECRET", "demo-secret".to_owned()),
        ("ADMITAD_BASE_URL", sim.at("/admitad")),
        ("VCOMMISSION_API_KEY", "demo-key".to_owned()),
        ("VCOMMISSION_BASE_URL", sim.at("/vcommission")),
        ("VCOMMISSION_VALIDATION_DAYS", "0".to_owned()),
        ("CUELINKS_API_KEY", "demo-key".to_owned()),
        ("CUELINKS_PUBLISHER_ID", "100001".to_owned()),
        ("CUELINKS_BASE_URL", sim.at("/cuelinks/pub_api/v3")),
        ("CASHBACK_UPKEEP_INTERVAL_MS", "1000".to_owned()),
        ("ADMITAD_POSTBACK_TOKEN", POSTBACK_TOKEN.to_owned()),
        ("VCOMMISSION_POSTBACK_TOKEN", POSTBACK_TOKEN.to_owned()),
        ("CUELINKS_POSTBACK_TOKEN", POSTBACK_TOKEN.to_owned()),
        ("MSG91_REPORT_TOKEN", POSTBACK_TOKEN.to_owned()),
        ("SENDGRID_WEBHOOK_PUBLIC_KEY", sendgrid_key),
        ("RAZORPAY_WEBHOOK_SECRET", RAZORPAY_SECRET.to_owned()),
        ("RAZORPAY_KEY_ID", "rzp_test_demo".to_owned()),
        ("RAZORPAY_KEY_SECRET", "demo-secret".to_owned()),
        ("RAZORPAYX_ACCOUNT_NUMBER", "7878780080316316".to_owned()),
        ("RAZORPAY_BASE_URL", sim.at("/razorpay")),
        ("SHOP_URL", "http://shop.example.in".to_owned()),
        ("FROM_EMAIL", "hello@shop.example.in".to_owned()),
        ("SENDGRID_API_KEY", "SG.demo".to_owned()),
        ("SENDGRID_BASE_URL", sim.at("/sendgrid")),
        ("MSG91_AUTH_KEY", "demo-key".to_owned()),
        ("MSG91_BASE_URL", sim.at("/msg91")),
        ("MSG91_SENDER_ID", "DEMOCB".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    for template in ["otp", "order_confirmation", "cashback_credited", "withdrawal_processed"] {
        environment.push((format!("MSG91_TEMPLATE_ID_{}", template.to_uppercase()), flow(template)));
    }
    environment.extend(place.settings.iter().cloned());
    environment
}

/// The registered texts as MSG91 holds them: `##VAR1##` for the first variable.
fn sms_texts() -> Value {
    let texts: Vec<Value> = serde_json::from_str(SMS_TEXTS).expect("the bundled SMS texts");
    let english = texts.iter().filter(|text| text["lang"] == "en");
    english
        .map(|text| {
            let body = text["body"].as_str().expect("a body").replace("<brand>", "Demo Cashback");
            let mut pieces = body.split("{#");
            let mut shown = pieces.next().unwrap_or_default().to_owned();
            for (number, piece) in (1..).zip(pieces) {
                let rest = piece.split_once("#}").map_or("", |(_, rest)| rest);
                let _never_fails = write!(shown, "##VAR{number}##{rest}");
            }
            (format!("flow-{}", text["template"].as_str().expect("a name")), Value::String(shown))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Runs a command of a service to its end, and gives what it printed.
fn run(name: &str, arguments: &[&str], environment: &[(String, String)]) -> String {
    let output = Command::new(binary(name))
        .args(arguments)
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name} cannot be run: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?} ended with {}:\n{said}{errors}", output.status);
    said
}
