//! Every key of the system. What begins with `{queue:<name>}` hashes, in Redis Cluster, to the slot of `queue:<name>`
//! itself, so one script may touch both.

use std::fmt::{Display, Write};
use std::net::IpAddr;

use domain::ids::{JobId, MerchantId, OfferId, UserId, WorkerId};
use domain::job::Queue;

/// Waiting jobs: producers `RPUSH`, workers take from the head.
#[must_use]
pub fn ready(queue: Queue) -> String {
    format!("queue:{queue}")
}

/// The fast lane.
#[must_use]
pub fn urgent(queue: Queue) -> String {
    format!("queue:{queue}:urgent")
}

/// Anything else of a queue.
#[must_use]
pub fn of_queue(queue: Queue, part: impl Display) -> String {
    format!("{{queue:{queue}}}:{part}")
}

/// A worker's sign of life, for people: JSON with a TTL of five seconds.
#[must_use]
pub fn heartbeat(worker: WorkerId) -> String {
    format!("worker:heartbeat:{worker}")
}

/// The ids of workers, by when they last gave a sign of life.
pub const WORKERS: &str = "workers";

/// A resolved offer.
#[must_use]
pub fn redirect_url(offer: OfferId) -> String {
    format!("redirect:url:{offer}")
}

/// A merchant's tracking template.
#[must_use]
pub fn redirect_merchant(merchant: MerchantId) -> String {
    format!("redirect:merchant:{merchant}")
}

/// A channel that nobody hears: what the redirector publishes there goes to the replicas, which shows that they go on.
pub const REDIRECT_REPLICAS: &str = "redirect:replicas";

/// Appends the redirector's counter for a client to `key`, which is used again by those who write thousands a second. The caller
/// says what is one client, and gives the first address of it.
pub fn redirect_limit(client: IpAddr, key: &mut String) {
    let _infallible = write!(key, "ratelimit:redirect:{client}");
}

/// Marks a webhook as seen.
#[must_use]
pub fn webhook_once(source: &str, event_id: &str) -> String {
    format!("webhook:once:{source}:{event_id}")
}

/// A network's access token, shared by replicas.
#[must_use]
pub fn network_token(network: &str) -> String {
    format!("network:token:{network}")
}

/// A circuit breaker, shared by replicas.
#[must_use]
pub fn circuit(name: &str) -> String {
    format!("circuit:{name}")
}

/// What a shopper was told live, in the order it was told.
#[must_use]
pub fn shopper_events(user: UserId) -> String {
    format!("{{events:{user}}}:log")
}

/// Marks a job as told to a shopper.
#[must_use]
pub fn shopper_event_once(user: UserId, job: JobId) -> String {
    format!("{{events:{user}}}:once:{job}")
}

/// The channel on which replicas of the console hear what shoppers are told.
pub const SHOPPER_EVENTS: &str = "events";

/// The console's counter of logins for a person or an address, by its hash.
#[must_use]
pub fn console_logins(who: &str) -> String {
    format!("ratelimit:console:{who}")
}

/// The API's counter for a token.
#[must_use]
pub fn api_calls(token: impl Display) -> String {
    format!("ratelimit:api:{token}")
}
