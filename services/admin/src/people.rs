//! Who may use the console and the API. People are added by `admin create-user`; here sessions and tokens are ended.

use actix_web::{HttpResponse, web};
use askama::Template;
use domain::ids::{AdminId, ApiTokenId};
use store::admin_users::{self, AdminUser};
use store::{StoreError, api_tokens};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Deed, State};
use crate::view::{self, Done, Page};

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    page: Page,
    people: Vec<AdminUser>,
    tokens: Vec<api_tokens::Line>,
}

/// People and tokens.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let people = admin_users::list(&client).await?;
    let tokens = api_tokens::list(&client).await?;
    view::html(&PeoplePage { page: Page::new(who, "people").noting(query.done.as_deref()), people, tokens })
}

/// Ends every session of a person.
pub(crate) async fn end_sessions(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let id: AdminId = view::id(&id, "person")?;
    let mut client = act.state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let ended = admin_users::close_sessions_of(&transaction, id).await?;
    let target = format!("admin:{id}");
    let before = Some(serde_json::json!({ "sessions": ended }));
    let after = Some(serde_json::json!({ "sessions": 0 }));
    let deed = Deed { action: "admin.end_sessions", target: &target, reason: &act.reason, before, after };
    act.actor().note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go("/admin/people?done=ended"))
}

/// Makes a token void.
pub(crate) async fn revoke(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let id: ApiTokenId = view::id(&id, "token")?;
    let mut client = act.state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    if !api_tokens::revoke(&transaction, id).await? {
        return Err(PageError::NotFound("token that is valid"));
    }
    let target = format!("token:{id}");
    let deed = Deed { action: "token.revoke", target: &target, reason: &act.reason, ..Deed::default() };
    act.actor().note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go("/admin/people?done=revoked"))
}
