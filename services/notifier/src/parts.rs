//! What serving and the commands are made of.

use anyhow::Context;
use chassis::Life;
use kv::Kv;
use queue::{Circuit, CircuitPolicy};
use store::Pool;
use telemetry::metrics::{Histogram, meter};

use crate::desk::Desk;
use crate::email::page::Pages;
use crate::email::sendgrid::{self, SendGrid};
use crate::email::smtp::{self, Smtp};
use crate::email::standby::Standby;
use crate::email::{Emails, Second, Way};
use crate::settings::Settings;
use crate::sms::Texts;
use crate::sms::msg91::{self, Msg91};
use crate::sms::registry::Registry;

/// What serving and the commands are made of.
pub(crate) struct Parts {
    pub(crate) pool: Pool,
    pub(crate) emails: Emails,
    pub(crate) texts: Texts,
    pub(crate) sms_sender: String,
}

impl Parts {
    /// Makes them; reads the registered texts, and refuses to start with one that carriers would drop.
    pub(crate) async fn new(settings: Settings, kv: &Kv, pool: Pool, life: &Life) -> anyhow::Result<Self> {
        let Settings { outbound, email, sms, .. } = settings;
        let (shop, sender, cipher) = email.house.context("the settings of mails are incomplete")?;
        let desk = |at_once| Desk::open(pool.clone(), at_once, life.tasks());
        let circuit = |name| Circuit::new(kv.clone(), name, CircuitPolicy::default());

        let stored = stored_texts(&pool).await;
        let registry = Registry::new(stored, &sms.sender, &sms.rules).context("the SMS texts cannot be used")?;
        let client = outbound::Client::new(sendgrid::NAME, &outbound)?;
        let sendgrid = SendGrid::new(client, &email.sendgrid_url, email.sendgrid_key, email.sandbox);
        let second = match email.smtp {
            Some(settings) => {
                let provider = Smtp::new(settings, &sender.address).context("the settings of SMTP cannot be used")?;
                let standby = Standby::new(pool.clone(), email.alert_emails, email.quiet);
                Some(Second { way: Way { provider: Box::new(provider), circuit: circuit(smtp::NAME) }, standby })
            }
            None => None,
        };
        let emails = Emails {
            desk: desk(email.at_once),
            pool: pool.clone(),
            shop,
            sender,
            cipher,
            unsubscribe: email.unsubscribe,
            throttle: email.throttle,
            pages: Pages::default(),
            rendering: rendering(),
            first: Way { provider: Box::new(sendgrid), circuit: circuit(sendgrid::NAME) },
            second,
        };
        let texts = Texts {
            desk: desk(sms.at_once),
            registry,
            rules: sms.rules,
            flows: sms.flows,
            window: sms.window,
            throttle: sms.throttle,
            msg91: Msg91::new(outbound::Client::new(msg91::NAME, &outbound)?, &sms.msg91_url, sms.msg91_key),
            circuit: circuit(msg91::NAME),
        };
        Ok(Self { pool, emails, texts, sms_sender: sms.sender })
    }
}

fn rendering() -> Histogram<f64> {
    meter()
        .f64_histogram("mail_render")
        .with_description("Time to render a mail")
        .with_unit("s")
        .with_boundaries(vec![0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005, 0.02])
        .build()
}

/// The texts in Postgres. Without Postgres the bundled ones must do: mails and codes are not held up by it.
async fn stored_texts(pool: &Pool) -> Vec<store::sms_templates::SmsTemplate> {
    let read = async {
        let client = pool.get().await?;
        store::sms_templates::list(&client).await
    };
    match read.await {
        Ok(texts) => texts,
        Err(error) => {
            tracing::warn!(
                error.chain = telemetry::chain(&error),
                "the stored SMS texts cannot be read: the bundled ones are used"
            );
            Vec::new()
        }
    }
}
