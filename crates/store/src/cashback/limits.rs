//! The rules in force, and what other cashback has used up of their caps.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use deadpool_postgres::GenericClient;
use domain::cashback::{Limits, Used};
use domain::clock::india_day;
use domain::ids::{ClickId, MerchantId, UserId};
use domain::money::{MoneyError, Paise};

use super::award::Award;
use crate::clicks;
use crate::statements::{column, query};
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

/// What an award wants of the caps.
pub(super) struct Claim<'a> {
    pub(super) award: &'a Award<'a>,
    /// Whether it wants more of them than its cashback has. Most news does not: then nobody looks what others have used.
    pub(super) asks: bool,
    /// When the shopper bought, as the cashback says where there is one: it stays in its month whatever a later report says.
    pub(super) bought_at: DateTime<Utc>,
}

impl Claim<'_> {
    /// The first day of the month of the purchase, as Indians see it.
    fn month(&self) -> NaiveDate {
        let day = india_day(self.bought_at);
        day.with_day(1).unwrap_or(day)
    }

    fn order(&self) -> Option<(MerchantId, String)> {
        self.award.transaction.order_id.clone().map(|order| (self.award.merchant, order))
    }
}

/// What is used up of the caps, the cashback of this batch included.
#[derive(Default)]
pub(super) struct Budget {
    caps: HashMap<ClickId, Paise>,
    clicks: HashMap<ClickId, Paise>,
    orders: HashMap<(MerchantId, String), Paise>,
    months: HashMap<(UserId, NaiveDate), Paise>,
}

impl Budget {
    /// Reads what is used up already, as far as a cap asks for it, for those that ask for more.
    pub(super) async fn of(
        client: &impl GenericClient,
        claims: &[Claim<'_>],
        rules: &[Rules],
    ) -> Result<Self, StoreError> {
        let mut budget = Self::default();
        let asking: Vec<_> = claims.iter().filter(|claim| claim.asks).collect();
        if asking.is_empty() {
            return Ok(budget);
        }
        // A click that was found just now says its cap; that of a cashback that rises is looked up.
        let risen = asking.iter().filter(|claim| claim.award.click.is_none());
        let risen: Vec<_> = risen.map(|claim| claim.award.click_id).collect();
        for click in clicks::find_many(client, &risen).await? {
            budget.caps.extend(click.cap.map(|cap| (click.id, cap)));
        }
        let found = asking.iter().filter_map(|claim| claim.award.click);
        budget.caps.extend(found.filter_map(|click| Some((click.id, click.cap?))));
        let capped: Vec<_> = budget.caps.keys().copied().collect();
        if !capped.is_empty() {
            for row in query(client, sql!("cashback/used_by_clicks.sql"), &[&capped]).await? {
                budget.clicks.insert(row.try_get(0)?, row.try_get(1)?);
            }
        }
        if rules.iter().any(|rules| rules.order_cap.is_some()) {
            let orders: Vec<_> = asking
                .iter()
                .filter_map(|claim| Some((claim.award.merchant, claim.award.transaction.order_id.as_deref()?)))
                .collect();
            let merchants = column!(orders, order => order.0);
            let numbers = column!(orders, order => order.1);
            for row in query(client, sql!("cashback/used_by_orders.sql"), &[&merchants, &numbers]).await? {
                budget.orders.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
            }
        }
        if rules.iter().any(|rules| rules.month_cap.is_some()) {
            let users = column!(asking, claim => claim.award.user);
            let months = column!(asking, claim => claim.month());
            for row in query(client, sql!("cashback/used_by_months.sql"), &[&users, &months]).await? {
                budget.months.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
            }
        }
        Ok(budget)
    }

    /// What the caps leave for one that asks, by the rules it goes by. What its cashback `has` of them counts as its own.
    pub(super) fn left(
        &self,
        claim: &Claim<'_>,
        rule: Option<&Rules>,
        has: Paise,
    ) -> Result<Option<Paise>, MoneyError> {
        let click = claim.award.click_id;
        let order = claim.order();
        let limits = Limits {
            click: self.caps.get(&click).copied(),
            order: order.as_ref().and(rule.and_then(|rule| rule.order_cap)),
            month: rule.and_then(|rule| rule.month_cap),
        };
        let others = |used: Option<&Paise>| used.copied().unwrap_or_default().checked_sub(has);
        limits.left(Used {
            click: others(self.clicks.get(&click))?,
            order: others(order.and_then(|order| self.orders.get(&order)))?,
            month: others(self.months.get(&(claim.award.user, claim.month())))?,
        })
    }

    /// Counts what an award's cashback has of the caps more than before, or less.
    pub(super) fn spend(&mut self, claim: &Claim<'_>, more: Paise) -> Result<(), MoneyError> {
        if more == Paise::ZERO {
            return Ok(());
        }
        let add = |sum: &mut Paise| -> Result<(), MoneyError> {
            *sum = sum.checked_add(more)?;
            Ok(())
        };
        add(self.clicks.entry(claim.award.click_id).or_default())?;
        if let Some(order) = claim.order() {
            add(self.orders.entry(order).or_default())?;
        }
        add(self.months.entry((claim.award.user, claim.month())).or_default())
    }
}
