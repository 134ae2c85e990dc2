//! The rules in force, and what other cashback has used up of their caps.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use deadpool_postgres::GenericClient;
use domain::cashback::Used;
use domain::clock::india_day;
use domain::ids::{ClickId, MerchantId, UserId};
use domain::money::{MoneyError, Paise};

use super::award::Award;
use crate::statements::query;
use crate::transactions::column;
use crate::{StoreError, sql};

/// One version of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    /// The version.
    pub(super) version: i32,
    /// In force from then on; `None` is always.
    pub(super) valid_from: Option<DateTime<Utc>>,
    /// The most of one merchant order.
    pub(super) order_cap: Option<Paise>,
    /// The most of one shopper in one calendar month (IST).
    pub(super) month_cap: Option<Paise>,
    /// Days from confirmation until it may be withdrawn.
    pub(super) holding_days: u64,
}

/// Every version, the newest first.
pub(super) async fn rules(client: &impl GenericClient) -> Result<Vec<Rules>, StoreError> {
    let rows = query(client, sql!("cashback/rules.sql"), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Rules {
                version: row.try_get(0)?,
                valid_from: row.try_get(1)?,
                order_cap: row.try_get(2)?,
                month_cap: row.try_get(3)?,
                holding_days: u64::try_from(row.try_get::<_, i32>(4)?).unwrap_or_default(),
            })
        })
        .collect()
}

/// The version in force at a time.
pub(super) fn in_force(rules: &[Rules], at: DateTime<Utc>) -> Option<&Rules> {
    rules.iter().find(|rules| rules.valid_from.is_none_or(|from| from <= at))
}

/// The first day of the month of a purchase, as Indians see it.
fn purchase_month(award: &Award<'_>) -> NaiveDate {
    let day = india_day(award.transaction.occurred_at);
    day.with_day(1).unwrap_or(day)
}

/// What is used up of the caps, the cashback of this batch included.
#[derive(Default)]
pub(super) struct Budget {
    clicks: HashMap<ClickId, Paise>,
    orders: HashMap<(MerchantId, String), Paise>,
    months: HashMap<(UserId, NaiveDate), Paise>,
}

impl Budget {
    /// Reads what is used up already, as far as a cap asks for it, for the awards that are not `known`.
    pub(super) async fn of(
        client: &impl GenericClient,
        awards: &[Award<'_>],
        rules: &[Rules],
        known: impl Fn(&Award<'_>) -> bool,
    ) -> Result<Self, StoreError> {
        let mut budget = Self::default();
        let new: Vec<_> = awards.iter().filter(|award| !known(award)).collect();
        let capped: Vec<_> = new
            .iter()
            .filter(|award| award.click.is_some_and(|click| click.cap.is_some()))
            .map(|award| award.click_id)
            .collect();
        if !capped.is_empty() {
            for row in query(client, sql!("cashback/used_by_clicks.sql"), &[&capped]).await? {
                budget.clicks.insert(row.try_get(0)?, row.try_get(1)?);
            }
        }
        if rules.iter().any(|rules| rules.order_cap.is_some()) {
            let orders: Vec<_> =
                new.iter().filter_map(|award| Some((award.merchant, award.transaction.order_id.as_deref()?))).collect();
            let merchants = column!(orders, order => order.0);
            let numbers = column!(orders, order => order.1);
            for row in query(client, sql!("cashback/used_by_orders.sql"), &[&merchants, &numbers]).await? {
                budget.orders.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
            }
        }
        if rules.iter().any(|rules| rules.month_cap.is_some()) {
            let users = column!(new, award => award.user);
            let months = column!(new, award => purchase_month(award));
            for row in query(client, sql!("cashback/used_by_months.sql"), &[&users, &months]).await? {
                budget.months.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
            }
        }
        Ok(budget)
    }

    /// What is used up that counts against an award.
    pub(super) fn used(&self, award: &Award<'_>) -> Used {
        let order = award.transaction.order_id.clone().map(|order| (award.merchant, order));
        Used {
            click: self.clicks.get(&award.click_id).copied().unwrap_or_default(),
            order: order.and_then(|order| self.orders.get(&order)).copied().unwrap_or_default(),
            month: self.months.get(&(award.user, purchase_month(award))).copied().unwrap_or_default(),
        }
    }

    /// Counts an award's cashback.
    pub(super) fn spend(&mut self, award: &Award<'_>, amount: Paise) -> Result<(), MoneyError> {
        let add = |sum: &mut Paise| -> Result<(), MoneyError> {
            *sum = sum.checked_add(amount)?;
            Ok(())
        };
        add(self.clicks.entry(award.click_id).or_default())?;
        if let Some(order) = award.transaction.order_id.clone() {
            add(self.orders.entry((award.merchant, order)).or_default())?;
        }
        add(self.months.entry((award.user, purchase_month(award))).or_default())
    }
}
