//! What the story must come to, whatever happened on the way.

use store::GenericClient;

/// The figures that do not depend on ids or times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Every account with its balance in paise: shoppers as `user`, the platform's by their code.
    pub balances: Vec<(String, i64)>,
    /// Every transfer: kind and amount in paise, in the order of kind and amount.
    pub transfers: Vec<(String, i64)>,
    /// Cashback by state.
    pub cashback: Vec<(String, i64)>,
    /// Messages by channel and template, with how many there are.
    pub messages: Vec<(String, i64)>,
}

impl Ledger {
    /// Reads it.
    pub async fn read(client: &impl GenericClient) -> Self {
        let rows = async |sql: &str| {
            let rows = client.query(sql, &[]).await.expect("the ledger can be read");
            rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1))).collect::<Vec<_>>()
        };
        let account = "CASE WHEN owner = 'user' THEN 'user' ELSE code END";
        Self {
            balances: rows(&format!(
                "SELECT {account}, coalesce(sum(CASE WHEN t.credit_account = a.id THEN t.amount_paise ELSE -t.amount_paise END), 0)::bigint
                 FROM wallet_accounts AS a JOIN wallet_transactions AS t ON a.id IN (t.credit_account, t.debit_account)
                 GROUP BY a.id, owner, code ORDER BY 1, 2"
            ))
            .await,
            transfers: rows("SELECT kind, amount_paise FROM wallet_transactions ORDER BY 1, 2").await,
            cashback: rows("SELECT status, amount_paise FROM cashback_events ORDER BY 1, 2").await,
            messages: rows("SELECT channel || ' ' || template, count(*) FROM notifications WHERE template <> 'admin_alert' GROUP BY 1 ORDER BY 1").await,
        }
    }

    /// The sum over all accounts: zero, or money came from nowhere.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.balances.iter().map(|(_, paise)| paise).sum()
    }
}
