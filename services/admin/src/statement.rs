//! `admin wallet`: a shopper's statement, in which each rupee is explained: click, order, what the network said, entry.

use std::fmt::Write as _;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use domain::clock::IST;
use domain::contact::{EmailAddress, Mobile};
use domain::ids::UserId;
use store::users::{self, User};
use store::wallet::{self, Line, Origin, Purchase};
use store::{GenericClient, Pool, StoreError};

use crate::command::print;

/// What can be asked of a wallet.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a shopper's statement, the newest line first, with what each line comes from
    Show {
        /// The shopper's id, mail address or mobile number
        user: String,
        /// The most lines
        #[arg(long, default_value_t = 100)]
        limit: i64,
        /// Only lines before this row of the ledger
        #[arg(long)]
        before: Option<i64>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(command: Command, pool: &Pool) -> anyhow::Result<()> {
    let Command::Show { user, limit, before, json } = command;
    let client = pool.get().await?;
    let Some(user) = find(&client, user.trim()).await? else {
        bail!("there is no shopper with the id, mail address or mobile number {user:?}");
    };
    let Some(overview) = wallet::overview(&client, user.id).await? else {
        bail!("the shopper {} has no wallet", user.id);
    };
    let limit = limit.clamp(1, 10_000);
    let lines = wallet::statement(&client, user.id, before, limit).await?;
    let pending = if before.is_none() { wallet::pending(&client, user.id, limit).await? } else { Vec::new() };
    if json {
        let whole = serde_json::json!({
            "user_id": user.id,
            "balance_paise": overview.balance,
            "withdrawable_paise": overview.withdrawable,
            "pending_paise": overview.pending,
            "pending": pending,
            "lines": lines,
        });
        print(&serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    let mut text = format!(
        "Shopper {}{}\nbalance {}, of which {} can be withdrawn; {} pending\n",
        user.id,
        contact(&user),
        overview.balance,
        overview.withdrawable,
        overview.pending
    );
    for purchase in &pending {
        text.push_str(&not_credited(purchase)?);
    }
    for line in &lines {
        text.push_str(&explained(line)?);
    }
    if let Some(last) = lines.last().filter(|_| i64::try_from(lines.len()) == Ok(limit)) {
        write!(text, "\nolder lines: --before {}", last.seq)?;
    }
    print(text.trim_end());
    Ok(())
}

/// By id, exact mail address, or exact mobile number.
pub(crate) async fn find(client: &impl GenericClient, text: &str) -> Result<Option<User>, StoreError> {
    if let Ok(id) = text.parse::<UserId>() {
        return users::find(client, id).await;
    }
    let mobile = text.parse::<Mobile>().ok();
    let email = text.parse::<EmailAddress>().ok();
    let wanted = mobile.map_or_else(|| text.to_owned(), |mobile| mobile.e164());
    let is_meant = |user: &User| {
        mobile.is_some() && user.mobile == mobile
            || user
                .email
                .as_ref()
                .zip(email.as_ref())
                .is_some_and(|(one, other)| one.as_str().eq_ignore_ascii_case(other.as_str()))
    };
    Ok(users::search(client, &wanted, 20).await?.into_iter().find(is_meant))
}

/// Masked: whoever asks knows the rest.
fn contact(user: &User) -> String {
    let email = user.email.as_ref().map(EmailAddress::masked);
    let mobile = user.mobile.map(|mobile| mobile.masked());
    let frozen = user.frozen_at.map(|at| format!("withdrawals blocked since {}", time(at)));
    [email, mobile, frozen].into_iter().flatten().fold(String::new(), |text, part| format!("{text}, {part}"))
}

fn time(at: DateTime<Utc>) -> String {
    (at + IST).format("%Y-%m-%d %H:%M IST").to_string()
}

/// A share such as 12.50 %.
fn share(basis_points: i32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { format!("{whole} %") } else { format!("{whole}.{rest:02} %") }
}

fn explained(line: &Line) -> Result<String, std::fmt::Error> {
    let sign = if line.amount.is_negative() { "" } else { "+" };
    let mut text = format!("\n{}  {sign}{}  {}, balance {}\n", time(line.at), line.amount, line.kind, line.balance);
    match &line.origin {
        Origin::Purchase(purchase) => purchase_in_words(&mut text, purchase)?,
        Origin::Withdrawal { id, status } => writeln!(text, "    withdrawal {id}, {status} by now")?,
        Origin::Other { reason } => writeln!(text, "    by hand: {reason}")?,
    }
    writeln!(text, "    entry      row {} of the ledger, {}", line.seq, line.id)?;
    Ok(text)
}

fn not_credited(purchase: &Purchase) -> Result<String, std::fmt::Error> {
    let mut text = format!("\npending  {} (not in the wallet yet)\n", purchase.cashback);
    purchase_in_words(&mut text, purchase)?;
    Ok(text)
}

fn purchase_in_words(text: &mut String, purchase: &Purchase) -> std::fmt::Result {
    match (purchase.click_id, purchase.clicked_at, purchase.rate_bps) {
        (Some(id), Some(at), Some(rate)) => {
            writeln!(text, "    click      {}, {} of the commission promised, {id}", time(at), share(rate))?;
        }
        _ => writeln!(text, "    click      is not kept any more")?,
    }
    let order = purchase.order_id.as_deref().unwrap_or("without a number");
    let sale = purchase.sale.map(|sale| format!(", {sale} paid")).unwrap_or_default();
    writeln!(text, "    order      {order} at {}{sale}", purchase.merchant)?;
    for change in &purchase.changes {
        let (at, commission) = (time(change.at), change.commission_paise);
        let (network, id) = (purchase.network, &purchase.external_id);
        writeln!(
            text,
            "    network    {at}, {network} {id}: {} ({}), commission {commission}",
            change.status, change.raw_status
        )?;
    }
    let cap = purchase.cap.map(|cap| format!(", at most {cap}")).unwrap_or_default();
    let rate = purchase.rate_bps.map(|rate| format!("{} of ", share(rate))).unwrap_or_default();
    writeln!(
        text,
        "    cashback   {rate}{}{cap}: {}, {} by now, rules of version {}, {}",
        purchase.commission, purchase.cashback, purchase.cashback_status, purchase.rule_version, purchase.cashback_id
    )?;
    if let Some(step) = &purchase.step {
        let from = step.from.map(|from| format!("{from} to ")).unwrap_or_default();
        writeln!(text, "    because    {from}{}, by {}", step.to, step.cause)?;
    }
    Ok(())
}
