//! Reads an order for its mail, with its codes opened.

use domain::ids::OrderId;
use domain::jobs::Language;
use domain::money::Paise;
use store::vouchers::Cipher;
use store::{GenericClient, StoreError, orders, vouchers};

use super::letter::{Line, Order};
use crate::dates::written;
use crate::sms::order_number;

/// The order as the mail shows it; nothing when there is no such order.
pub(crate) async fn read(
    client: &impl GenericClient,
    id: OrderId,
    lang: Language,
    cipher: &Cipher,
) -> Result<Option<Order>, StoreError> {
    let Some(summary) = orders::find(client, id).await? else {
        return Ok(None);
    };
    let mut codes = vouchers::open_for_order(client, id, cipher).await?;
    let lines = orders::items(client, id)
        .await?
        .into_iter()
        .map(|item| {
            let codes = codes.remove(&item.id).unwrap_or_default();
            let due = if item.is_voucher { item.quantity } else { 0 };
            let amount = item.unit_price.get().checked_mul(i64::from(item.quantity)).unwrap_or(i64::MAX);
            Line {
                title: item.title,
                quantity: item.quantity,
                amount: Paise::new(amount),
                codes_pending: i64::try_from(codes.len()).is_ok_and(|count| count < i64::from(due)),
                codes,
            }
        })
        .collect();
    Ok(Some(Order { number: order_number(id), placed: written(summary.created_at, lang), lines, total: summary.total }))
}
