//! Everything that can be set.

use std::collections::HashMap;
use std::time::Duration;

use config::{Reader, SecretString};
use domain::contact::EmailAddress;
use domain::jobs::Language;
use outbound::base_url;
use store::vouchers::Cipher;

use crate::email::Sender;
use crate::email::letter::Shop;
use crate::email::smtp;
use crate::sms::{FlowIds, Rules, TEMPLATES, Window};

/// How many messages one address gets on one channel; 0 is no limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throttle {
    pub(crate) per_hour: i32,
    pub(crate) per_day: i32,
}

/// The settings of this service.
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    pub(crate) outbound: outbound::Settings,
    pub(crate) email: Email,
    pub(crate) sms: Sms,
}

/// Settings of mails.
pub(crate) struct Email {
    pub(crate) sendgrid_key: SecretString,
    pub(crate) sendgrid_url: String,
    pub(crate) sandbox: bool,
    pub(crate) per_second: u32,
    pub(crate) at_once: usize,
    pub(crate) throttle: Throttle,
    pub(crate) unsubscribe: Option<String>,
    /// The second provider, when one is set.
    pub(crate) smtp: Option<smtp::Settings>,
    /// Who is told that the second provider is in use.
    pub(crate) alert_emails: Vec<EmailAddress>,
    /// How long the second provider must have been left alone until its use counts as over.
    pub(crate) quiet: Duration,
    /// `None` only when a problem was noted.
    pub(crate) house: Option<(Shop, Sender, Cipher)>,
}

/// Settings of text messages.
pub(crate) struct Sms {
    pub(crate) msg91_key: SecretString,
    pub(crate) msg91_url: String,
    pub(crate) sender: String,
    pub(crate) flows: FlowIds,
    pub(crate) rules: Rules,
    pub(crate) window: Window,
    pub(crate) per_second: u32,
    pub(crate) at_once: usize,
    pub(crate) throttle: Throttle,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let store = store::Settings::read(reader);
        let kv = kv::Settings::read(reader);
        let outbound = outbound::Settings::read(reader);
        let name = reader.default("SHOP_NAME", "Demo Cashback".to_owned(), "the shop's name in mails and texts");
        Self { store, kv, outbound, email: Email::read(reader, &name), sms: Sms::read(reader, name) }
    }
}

impl Email {
    fn read(reader: &mut Reader<'_>, shop: &str) -> Self {
        let from: Option<EmailAddress> = reader.parsed("FROM_EMAIL", "the address that mails come from");
        let from_name = reader.default("FROM_NAME", shop.to_owned(), "the name that mails come from");
        let reply_to: Option<EmailAddress> = reader.optional_parsed("REPLY_TO", "where answers to mails go");
        let url: Option<url::Url> = reader.parsed("SHOP_URL", "the shop's own address; mails link to it");
        let support: Option<EmailAddress> =
            reader.optional_parsed("SUPPORT_EMAIL", "where people write to for help (FROM_EMAIL when it is not set)");
        let postal_address = reader.optional("POSTAL_ADDRESS", "the firm's postal address, at the foot of mails");
        let cipher: Option<Cipher> =
            reader.parsed("VOUCHER_KEY", "opens voucher codes: 32 random bytes in base64, the same in all services");
        let public: Option<url::Url> =
            reader.optional_parsed("PUBLIC_URL", "where the outside reaches us; one-click unsubscribing leads there");
        let house = from.zip(url).zip(cipher).map(|((address, url), cipher)| {
            let support = support.unwrap_or_else(|| address.clone());
            let url = url.as_str().trim_end_matches('/').to_owned();
            let shop = Shop { name: shop.to_owned(), url, support, postal_address };
            (shop, Sender { address, name: from_name, reply_to }, cipher)
        });
        Self {
            sendgrid_key: reader.secret("SENDGRID_API_KEY", "key of SendGrid's API"),
            sendgrid_url: base_url(reader, "SENDGRID_BASE_URL", "https://api.sendgrid.com", "where SendGrid's API is"),
            sandbox: reader.default("SENDGRID_SANDBOX", false, "let SendGrid check mails without sending them"),
            per_second: reader.default("SENDGRID_PER_SECOND", 0, "mails a second, over all replicas; 0 is no limit"),
            at_once: reader.default("EMAIL_CONCURRENCY", 64, "how many mails a replica sends at a time"),
            throttle: Throttle {
                per_hour: reader.default("EMAIL_PER_HOUR", 30, "the most mails to one address an hour; 0 is no limit"),
                per_day: reader.default("EMAIL_PER_DAY", 100, "the most mails to one address a day; 0 is no limit"),
            },
            smtp: smtp::Settings::read(reader),
            alert_emails: store::alerts::recipients(reader),
            quiet: Duration::from_secs(reader.default(
                "SMTP_QUIET_SECONDS",
                60,
                "how long SMTP must have been left alone until ALERT_EMAILS is told that it is over",
            )),
            unsubscribe: public.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            house,
        }
    }
}

impl Sms {
    fn read(reader: &mut Reader<'_>, brand: String) -> Self {
        let sender = reader.required("MSG91_SENDER_ID", "the header that texts come from: six letters");
        let flows = flows(reader);
        let hosts = list(reader, "SMS_LINK_HOSTS", "hosts that the DLT lets texts link to, by comma");
        let numbers = list(reader, "SMS_CALL_NUMBERS", "numbers that the DLT lets texts name, digits only, by comma");
        let most_parts = reader.default("SMS_MAX_PARTS", 3, "the most parts that one text may be billed as");
        let (from, until) = (
            reader.default("SMS_WINDOW_FROM", 10_u32, "from this hour (IST) advertising may be sent"),
            reader.default("SMS_WINDOW_UNTIL", 21_u32, "until this hour (IST) advertising may be sent"),
        );
        if from >= until || until > 24 {
            reader.problem("SMS_WINDOW_FROM, SMS_WINDOW_UNTIL: two hours of one day, the first before the second");
        }
        Self {
            msg91_key: reader.secret("MSG91_AUTH_KEY", "key of MSG91's API"),
            msg91_url: base_url(reader, "MSG91_BASE_URL", "https://control.msg91.com", "where MSG91's API is"),
            sender,
            flows,
            rules: Rules { brand, hosts, numbers, most_parts },
            window: Window { from, until },
            per_second: reader.default("MSG91_PER_SECOND", 0, "texts a second, over all replicas; 0 is no limit"),
            at_once: reader.default("SMS_CONCURRENCY", 32, "how many texts a replica sends at a time"),
            throttle: Throttle {
                per_hour: reader.default("SMS_PER_HOUR", 10, "the most texts to one number an hour; 0 is no limit"),
                per_day: reader.default("SMS_PER_DAY", 30, "the most texts to one number a day; 0 is no limit"),
            },
        }
    }
}

fn list(reader: &mut Reader<'_>, key: &str, about: &str) -> Vec<String> {
    let text = reader.optional(key, about).unwrap_or_default();
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `MSG91_TEMPLATE_ID_OTP` for English, `MSG91_TEMPLATE_ID_OTP_HI` for Hindi.
fn flows(reader: &mut Reader<'_>) -> FlowIds {
    let prefix = "MSG91_TEMPLATE_ID_";
    let about = "MSG91's id of a text, such as MSG91_TEMPLATE_ID_OTP (English) and MSG91_TEMPLATE_ID_OTP_HI (Hindi)";
    let mut flows = HashMap::new();
    for (name, id) in reader.family(prefix, about) {
        let lower = name.to_lowercase();
        let (template, lang) = match lower.strip_suffix("_hi") {
            Some(template) => (template, Language::Hi),
            None => (lower.as_str(), Language::En),
        };
        match TEMPLATES.into_iter().find(|known| *known == template) {
            Some(known) => drop(flows.insert((known, lang), id)),
            None => {
                reader.problem(format!("{prefix}{name}: there is no such text; known are {}", TEMPLATES.join(", ")));
            }
        }
    }
    for template in TEMPLATES {
        if !flows.contains_key(&(template, Language::En)) {
            reader.problem(format!("{prefix}{}: not set ({about})", template.to_uppercase()));
        }
    }
    flows
}
