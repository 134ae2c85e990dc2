//! What shoppers are told of their money, promised in the transaction that made it true.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use domain::cashback::Notice;
use domain::ids::{MerchantId, UserId, WithdrawalId};
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::jobs::event::{NotifyShopper, ShopperEvent};
use domain::jobs::sms::{SendSms, SmsMessage};
use domain::jobs::{EventKey, InvalidEventKey};
use domain::money::Paise;
use futures_util::future::try_join;
use telemetry::propagation::Carried;

use crate::outbox::{self, Lane, Promise};
use crate::statements::query;
use crate::users::{self, User};
use crate::{StoreError, sql};

/// News of a cashback for its shopper.
pub(super) struct Telling {
    pub(super) user: UserId,
    pub(super) merchant: MerchantId,
    pub(super) event_key: String,
    pub(super) notice: Notice,
    /// The wallet afterwards.
    pub(super) balance: Paise,
    pub(super) order_ref: Option<String>,
    /// What the click belongs to: the news goes on with it.
    pub(super) carried: Carried,
}

/// Shoppers who may have news, and the shops that it may name.
pub(super) struct Audience {
    users: HashMap<UserId, User>,
    merchants: HashMap<MerchantId, String>,
}

impl Audience {
    /// Reads who they are.
    pub(super) async fn of(
        client: &impl GenericClient,
        users: &[UserId],
        merchants: &[MerchantId],
    ) -> Result<Self, StoreError> {
        let (users, merchants) = try_join(users::find_many(client, users), names(client, merchants)).await?;
        Ok(Self { users: users.into_iter().map(|user| (user.id, user)).collect(), merchants })
    }
}

/// Tells shoppers, on the open page, by mail and, when money came, by text message. Who has no address or number is not told
/// there.
pub(super) async fn tell(
    client: &impl GenericClient,
    audience: &Audience,
    tellings: &[Telling],
) -> Result<(), StoreError> {
    let mut promises = Vec::new();
    for telling in tellings {
        let Some(user) = audience.users.get(&telling.user) else { continue };
        let merchant = audience.merchants.get(&telling.merchant).cloned().unwrap_or_default();
        let key = key(&telling.event_key)?;
        let (mail, sms) = match telling.notice {
            Notice::Tracked { amount } => {
                (EmailMessage::CashbackTracked { merchant, amount, order_ref: telling.order_ref.clone() }, None)
            }
            Notice::Credited { amount } => (
                EmailMessage::CashbackCredited { merchant: merchant.clone(), amount, balance: telling.balance },
                Some(SmsMessage::CashbackCredited { merchant, amount }),
            ),
            Notice::Declined { amount, was_credited } => {
                (EmailMessage::CashbackDeclined { merchant, amount, was_credited }, None)
            }
        };
        promise(&mut promises, user, &key, mail, sms, &telling.carried)?;
    }
    outbox::push_many(client, &promises).await
}

/// Tells a shopper that a withdrawal has reached the bank.
pub(crate) async fn withdrawal_processed(
    client: &impl GenericClient,
    user: UserId,
    id: WithdrawalId,
    amount: Paise,
    utr: Option<&str>,
) -> Result<(), StoreError> {
    let mail = EmailMessage::WithdrawalProcessed { amount, utr: utr.map(str::to_owned) };
    one(client, user, &format!("withdrawal:{id}:processed"), mail, Some(SmsMessage::WithdrawalProcessed { amount }))
        .await
}

/// Tells a shopper that a withdrawal's money is in the wallet again.
pub(crate) async fn withdrawal_failed(
    client: &impl GenericClient,
    user: UserId,
    id: WithdrawalId,
    amount: Paise,
    reason: &str,
) -> Result<(), StoreError> {
    let mail = EmailMessage::WithdrawalFailed { amount, reason: reason.to_owned() };
    one(client, user, &format!("withdrawal:{id}:returned"), mail, None).await
}

async fn one(
    client: &impl GenericClient,
    user: UserId,
    event_key: &str,
    mail: EmailMessage,
    sms: Option<SmsMessage>,
) -> Result<(), StoreError> {
    let Some(user) = users::find(client, user).await? else { return Ok(()) };
    let mut promises = Vec::new();
    promise(&mut promises, &user, &key(event_key)?, mail, sms, &Carried::default())?;
    outbox::push_many(client, &promises).await
}

fn promise(
    promises: &mut Vec<Promise>,
    user: &User,
    event_key: &EventKey,
    mail: EmailMessage,
    sms: Option<SmsMessage>,
    carried: &Carried,
) -> Result<(), StoreError> {
    if let Some(event) = ShopperEvent::of(&mail) {
        let shown = NotifyShopper { user_id: user.id, event };
        promises.push(Promise::of(&shown, Lane::Normal)?.on(carried.clone()));
    }
    if let Some(to) = user.email.clone() {
        let name = Some(user.name.clone());
        let (event_key, user_id, lang) = (event_key.clone(), Some(user.id), user.lang);
        let mail = SendEmail { event_key, to, name, user_id, lang, message: mail };
        promises.push(Promise::of(&mail, Lane::Normal)?.on(carried.clone()));
    }
    if let (Some(to), Some(message)) = (user.mobile, sms) {
        let (event_key, user_id, lang) = (event_key.clone(), Some(user.id), user.lang);
        let sms = SendSms { event_key, to, user_id, lang, message };
        promises.push(Promise::of(&sms, Lane::Normal)?.on(carried.clone()));
    }
    Ok(())
}

fn key(text: &str) -> Result<EventKey, StoreError> {
    text.parse().map_err(|error: InvalidEventKey| StoreError::WrongRow(error.to_string()))
}

async fn names(client: &impl GenericClient, ids: &[MerchantId]) -> Result<HashMap<MerchantId, String>, StoreError> {
    let rows = query(client, sql!("cashback/merchant_names.sql"), &[&ids]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
