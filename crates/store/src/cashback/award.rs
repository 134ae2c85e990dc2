//! What is due to shoppers by their transactions as they stand now, posted and told.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Days, Utc};
use deadpool_postgres::GenericClient;
use domain::cashback::{CashbackStatus, News, Notice, Standing, Step, Terms, step};
use domain::ids::{CashbackId, ClickId, MerchantId, TransactionId, UserId};
use domain::money::{BasisPoints, MoneyError, Paise};
use domain::wallet::{Account, Transfer, TransferKind};
use futures_util::future::{try_join, try_join4};
use serde_json::json;
use telemetry::propagation::Carried;

use super::limits::{self, Claim, Rules};
use super::notices::{self, Audience, Telling};
use super::settle::{SettleError, count};
use crate::clicks::{self, Click};
use crate::statements::{column, execute, prepare as prepare_all, query, word};
use crate::transactions::Transaction;
use crate::wallet::Posted;
use crate::{StoreError, sql, wallet};

/// A transaction whose shopper is known.
pub(super) struct Award<'a> {
    pub(super) transaction: &'a Transaction,
    pub(super) click_id: ClickId,
    pub(super) user: UserId,
    pub(super) merchant: MerchantId,
    /// The click, when it was found just now: then there is no cashback yet.
    pub(super) click: Option<&'a Click>,
}

/// A cashback as stored, with the terms it was decided by.
#[derive(Clone, Copy)]
struct Kept {
    id: CashbackId,
    standing: Standing,
    terms: Terms,
    rule_version: i32,
    held_until: Option<DateTime<Utc>>,
    confirmed_at: Option<DateTime<Utc>>,
    bought_at: DateTime<Utc>,
}

/// A change to write.
struct Written<'a> {
    award: &'a Award<'a>,
    before: Option<Standing>,
    after: Kept,
    step: Step,
}

/// Call it before [`award`].
pub(super) async fn prepare(client: &impl GenericClient) -> Result<(), StoreError> {
    prepare_all(
        client,
        &[
            sql!("wallet/lock.sql"),
            sql!("cashback/standings.sql"),
            sql!("cashback/rules.sql"),
            sql!("users/find_many.sql"),
            sql!("cashback/merchant_names.sql"),
            sql!("cashback/insert_many.sql"),
            sql!("cashback/update_many.sql"),
            sql!("wallet/post_transfers.sql"),
            sql!("cashback/insert_history.sql"),
            sql!("outbox/insert_many.sql"),
        ],
    )
    .await
}

/// Brings the shoppers' cashback in line with their transactions. Gives the number of ledger entries.
pub(super) async fn award(
    client: &impl GenericClient,
    awards: &[Award<'_>],
    cause: &str,
    now: DateTime<Utc>,
) -> Result<u64, SettleError> {
    if awards.is_empty() {
        return Ok(0);
    }
    let users: HashSet<_> = awards.iter().map(|award| award.user).collect();
    let users: Vec<_> = users.into_iter().collect();
    let merchants: HashSet<_> = awards.iter().map(|award| award.merchant).collect();
    let merchants: Vec<_> = merchants.into_iter().collect();
    // The lock is asked for first: what is read behind it stays as it is read.
    let lock = wallet::lock(client, &users);
    let audience = Audience::of(client, &users, &merchants);
    let ((), mut kept, rules, audience) =
        try_join4(lock, standings(client, awards), limits::rules(client), audience).await?;
    let claims = awards.iter().map(|award| claim(award, kept.get(&award.transaction.id)));
    let claims = claims.collect::<Result<Vec<_>, _>>()?;
    let mut budget = limits::Budget::of(client, &claims, &rules).await?;
    let mut written = Vec::new();
    for claim in &claims {
        let award = claim.award;
        let wrong = |_error: MoneyError| SettleError::Amount(award.transaction.external_id.clone());
        let before = kept.remove(&award.transaction.id);
        let has = before.map_or(Paise::ZERO, |before| before.standing.used());
        let base = match (before, award.click) {
            (Some(before), _) => before,
            (None, Some(click)) => {
                let rule = limits::in_force(&rules, click.clicked_at);
                begin(award, click, rule, budget.left(claim, rule, has).map_err(wrong)?)
            }
            // The shopper was deleted between click and report; the click was matched all the same.
            (None, None) => continue,
        };
        let terms = match before {
            Some(before) if claim.asks => {
                let rule = rules.iter().find(|rule| rule.version == before.rule_version);
                before.terms.within(&before.standing, budget.left(claim, rule, has).map_err(wrong)?)
            }
            _ => base.terms,
        };
        let standing = before.map(|before| before.standing);
        if let Some(change) = change(award, base, standing, terms, &rules, now).map_err(wrong)? {
            let more = change.after.standing.used().checked_sub(has).map_err(wrong)?;
            budget.spend(claim, more).map_err(wrong)?;
            written.push(change);
        }
    }
    let carried = carried(client, &written).await?;
    let events = async { write(client, &written).await.map_err(SettleError::from) };
    let following = async {
        let entries = post(client, &written, &carried).await?;
        let history = insert_history(client, &written, &entries, cause);
        let news = async {
            let tellings = written.iter().zip(&entries);
            let tellings: Vec<_> = tellings.filter_map(|(change, entry)| telling(change, *entry, &carried)).collect();
            notices::tell(client, &audience, &tellings).await
        };
        try_join(history, news).await?;
        Ok(count(entries.iter().flatten().count()))
    };
    // Sent together, in this order: events, entries, and when the entries have their answer, history and news.
    let ((), postings) = try_join(events, following).await?;
    Ok(postings)
}

/// What the clicks of the changes belong to. A click that was found just now said it itself.
async fn carried(
    client: &impl GenericClient,
    written: &[Written<'_>],
) -> Result<HashMap<ClickId, Carried>, StoreError> {
    let silent = written.iter().filter(|change| change.award.click.is_none());
    let silent: Vec<_> = silent.map(|change| change.award.click_id).collect();
    let mut carried = clicks::carried(client, &silent).await?;
    let found = written.iter().filter_map(|change| change.award.click);
    carried.extend(found.map(|click| (click.id, click.carried.clone())));
    Ok(carried)
}

/// What an award wants of the caps.
fn claim<'a>(award: &'a Award<'a>, kept: Option<&Kept>) -> Result<Claim<'a>, SettleError> {
    let transaction = award.transaction;
    let wrong = |_error: MoneyError| SettleError::Amount(transaction.external_id.clone());
    let asks = match kept {
        Some(Kept { terms, standing, .. }) => {
            terms.asks_for_more(standing, transaction.state.status, transaction.state.commission).map_err(wrong)?
        }
        None => award.click.is_some(),
    };
    Ok(Claim { award, asks, bought_at: kept.map_or(transaction.occurred_at, |kept| kept.bought_at) })
}

/// One cashback's step, by its terms as they are now.
fn change<'a>(
    award: &'a Award<'a>,
    base: Kept,
    before: Option<Standing>,
    terms: Terms,
    rules: &[Rules],
    now: DateTime<Utc>,
) -> Result<Option<Written<'a>>, MoneyError> {
    let state = &award.transaction.state;
    // The holding period begins anew when a purchase is confirmed anew.
    let was_credited = before.is_some_and(|standing| standing.status.is_credited());
    let days = rules.iter().find(|rules| rules.version == base.rule_version).map_or(0, |rules| rules.holding_days);
    let held_until = if was_credited {
        base.held_until
    } else {
        (days > 0).then(|| now.checked_add_days(Days::new(days))).flatten()
    };
    let held = held_until.is_some_and(|until| until > now);
    let news = News { status: state.status, funded: state.funded, commission: state.commission, held };
    let Some(step) = step(before.as_ref(), terms, &news)? else { return Ok(None) };
    let is_credited = step.standing.status.is_credited();
    let after = Kept {
        standing: step.standing,
        held_until: held_until.filter(|_| is_credited),
        confirmed_at: is_credited.then(|| base.confirmed_at.filter(|_| was_credited).unwrap_or(now)),
        ..base
    };
    Ok(Some(Written { award, before, after, step }))
}

/// A cashback that is about to begin, with what the caps leave for it.
fn begin(award: &Award<'_>, click: &Click, rule: Option<&Rules>, cap: Option<Paise>) -> Kept {
    Kept {
        id: CashbackId::generate(),
        standing: Standing {
            status: CashbackStatus::Pending,
            amount: Paise::ZERO,
            credited: Paise::ZERO,
            funded: false,
            postings: 0,
            revision: 0,
        },
        terms: Terms { rate: click.rate, cap },
        rule_version: rule.map_or(1, |rule| rule.version),
        held_until: None,
        confirmed_at: None,
        bought_at: award.transaction.occurred_at,
    }
}

async fn standings(
    client: &impl GenericClient,
    awards: &[Award<'_>],
) -> Result<HashMap<TransactionId, Kept>, StoreError> {
    // Whoever found its click just now has none: cashback begins with the click.
    let matched = awards.iter().filter(|award| award.click.is_none());
    let ids: Vec<_> = matched.map(|award| award.transaction.id).collect();
    let mut kept = HashMap::new();
    if ids.is_empty() {
        return Ok(kept);
    }
    for row in query(client, sql!("cashback/standings.sql"), &[&ids]).await? {
        let wrong = |error: MoneyError| StoreError::WrongRow(error.to_string());
        let cashback = Kept {
            id: row.try_get(0)?,
            standing: Standing {
                status: word(row.try_get(2)?)?,
                amount: row.try_get(3)?,
                credited: row.try_get(4)?,
                funded: row.try_get(5)?,
                postings: row.try_get(6)?,
                revision: row.try_get(7)?,
            },
            terms: Terms { rate: BasisPoints::new(row.try_get(8)?).map_err(wrong)?, cap: row.try_get(9)? },
            rule_version: row.try_get(10)?,
            held_until: row.try_get(11)?,
            confirmed_at: row.try_get(12)?,
            bought_at: row.try_get(13)?,
        };
        kept.insert(row.try_get(1)?, cashback);
    }
    Ok(kept)
}

/// Posts what moves; gives the entry of each change that moves something. The key counts the cashback's entries, so each difference is
/// posted once.
async fn post(
    client: &impl GenericClient,
    written: &[Written<'_>],
    carried: &HashMap<ClickId, Carried>,
) -> Result<Vec<Option<Posted>>, SettleError> {
    let transfers = written.iter().map(|change| transfer(change, carried)).collect::<Result<Vec<_>, _>>()?;
    let moves: Vec<_> = transfers.iter().map(Option::is_some).collect();
    let transfers: Vec<_> = transfers.into_iter().flatten().collect();
    let mut posted = wallet::post_many(client, &transfers).await?.into_iter();
    Ok(moves.into_iter().map(|moves| moves.then(|| posted.next()).flatten()).collect())
}

/// What a change moves, if it moves something.
fn transfer(change: &Written<'_>, carried: &HashMap<ClickId, Carried>) -> Result<Option<Transfer>, SettleError> {
    let Some(posting) = change.step.posting else { return Ok(None) };
    let Award { transaction, user, click_id, .. } = change.award;
    let wallet = Account::User(*user);
    let wrong = |_error: MoneyError| SettleError::Amount(transaction.external_id.clone());
    let (debit, credit, amount, kind) = if posting.is_negative() {
        (wallet, Account::CashbackExpense, posting.checked_neg().map_err(wrong)?, TransferKind::CashbackClawback)
    } else {
        (Account::CashbackExpense, wallet, posting, TransferKind::CashbackCredit)
    };
    let Kept { id, standing, .. } = &change.after;
    let mut reason = json!({ "cashback_id": id, "transaction_id": transaction.id, "click_id": click_id });
    if let Some(correlation) = carried.get(click_id).and_then(|carried| carried.correlation_id.as_deref()) {
        wallet::correlate(&mut reason, correlation);
    }
    let key = format!("cashback:{id}:{}", standing.postings);
    Ok(Some(Transfer { debit, credit, amount, kind, key, reason }))
}

/// Writes the cashback as it is from now on.
async fn write(client: &impl GenericClient, written: &[Written<'_>]) -> Result<(), StoreError> {
    let (new, changed): (Vec<&Written<'_>>, Vec<&Written<'_>>) =
        written.iter().partition(|change| change.before.is_none());
    try_join(insert(client, &new), update(client, &changed)).await?;
    Ok(())
}

async fn insert(client: &impl GenericClient, new: &[&Written<'_>]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("cashback/insert_many.sql"),
        &[
            &column!(new, change => change.after.id),
            &column!(new, change => change.award.transaction.id),
            &column!(new, change => change.award.user),
            &column!(new, change => change.award.click_id),
            &column!(new, change => change.award.merchant),
            &column!(new, change => change.after.standing.status.word()),
            &column!(new, change => change.after.standing.amount),
            &column!(new, change => change.after.standing.credited),
            &column!(new, change => change.after.standing.funded),
            &column!(new, change => change.after.standing.postings),
            &column!(new, change => change.after.terms.rate),
            &column!(new, change => change.after.terms.cap),
            &column!(new, change => change.after.rule_version),
            &column!(new, change => change.after.held_until),
            &column!(new, change => change.after.confirmed_at),
            &column!(new, change => change.after.bought_at),
        ],
    )
    .await?;
    Ok(())
}

async fn update(client: &impl GenericClient, changed: &[&Written<'_>]) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("cashback/update_many.sql"),
        &[
            &column!(changed, change => change.after.id),
            &column!(changed, change => change.after.standing.status.word()),
            &column!(changed, change => change.after.standing.amount),
            &column!(changed, change => change.after.standing.credited),
            &column!(changed, change => change.after.standing.funded),
            &column!(changed, change => change.after.standing.postings),
            &column!(changed, change => change.after.standing.revision),
            &column!(changed, change => change.after.held_until),
            &column!(changed, change => change.after.confirmed_at),
        ],
    )
    .await?;
    Ok(())
}

async fn insert_history(
    client: &impl GenericClient,
    written: &[Written<'_>],
    entries: &[Option<Posted>],
    cause: &str,
) -> Result<(), StoreError> {
    if written.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("cashback/insert_history.sql"),
        &[
            &column!(written, change => change.after.id),
            &column!(written, change => change.after.standing.revision),
            &column!(written, change => change.before.map(|before| before.status.word())),
            &column!(written, change => change.after.standing.status.word()),
            &column!(written, change => change.before.map(|before| before.amount)),
            &column!(written, change => change.after.standing.amount),
            &column!(written, change => change.step.posting.unwrap_or(Paise::ZERO)),
            &column!(entries, entry => entry.map(|entry| entry.id)),
            &column!(written, change => change.award.transaction.revision),
            &cause,
        ],
    )
    .await?;
    Ok(())
}

fn telling(change: &Written<'_>, entry: Option<Posted>, carried: &HashMap<ClickId, Carried>) -> Option<Telling> {
    let notice = change.step.notice?;
    let step = match notice {
        Notice::Tracked { .. } => "tracked",
        Notice::Credited { .. } => "confirmed",
        Notice::Declined { .. } => "declined",
    };
    Some(Telling {
        user: change.award.user,
        merchant: change.award.merchant,
        event_key: format!("cashback:{}:{step}:{}", change.after.id, change.after.standing.revision),
        notice,
        balance: entry.and_then(|entry| entry.balance).unwrap_or(Paise::ZERO),
        order_ref: change.award.transaction.order_id.clone(),
        carried: carried.get(&change.award.click_id).cloned().unwrap_or_default(),
    })
}
