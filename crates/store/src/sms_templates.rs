//! SMS texts as registered with the DLT.

use deadpool_postgres::GenericClient;
use domain::jobs::Language;

use crate::statements::{execute, query};
use crate::{StoreError, sql};

/// A registered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsTemplate {
    /// Our name for it, such as `otp`.
    pub template: String,
    /// Its language.
    pub lang: Language,
    /// The DLT's id of the text.
    pub dlt_template_id: String,
    /// The DLT's id of the sending firm.
    pub entity_id: String,
    /// The header: six letters.
    pub sender_id: String,
    /// `transactional`, `service_implicit`, `service_explicit` or `promotional`.
    pub category: String,
    /// The text with its variables.
    pub body: String,
}

/// Every registered text, by name and language.
pub async fn list(client: &impl GenericClient) -> Result<Vec<SmsTemplate>, StoreError> {
    query(client, sql!("sms_templates/list.sql"), &[])
        .await?
        .iter()
        .map(|row| {
            Ok(SmsTemplate {
                template: row.try_get(0)?,
                lang: if row.try_get::<_, &str>(1)? == Language::Hi.code() { Language::Hi } else { Language::En },
                dlt_template_id: row.try_get(2)?,
                entity_id: row.try_get(3)?,
                sender_id: row.try_get(4)?,
                category: row.try_get(5)?,
                body: row.try_get(6)?,
            })
        })
        .collect()
}

/// Stores a text over what was there. Lint it first: the carrier drops what does not fit, and says it was sent.
pub async fn upsert(client: &impl GenericClient, template: &SmsTemplate) -> Result<(), StoreError> {
    execute(
        client,
        sql!("sms_templates/upsert.sql"),
        &[
            &template.template,
            &template.lang.code(),
            &template.dlt_template_id,
            &template.entity_id,
            &template.sender_id,
            &template.category,
            &template.body,
        ],
    )
    .await?;
    Ok(())
}
