//! From the queue to the replicas, and from the replicas' channel to the sockets.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::event::NotifyShopper;
use kv::{Kv, keys};
use queue::{Handler, JobContext, Outcome};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use super::log::{self, News};

/// After a lost connection nobody tries again for this long.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells shoppers what comes on `queue:events`.
pub(crate) struct Announcer(pub(crate) Kv);

impl Handler<NotifyShopper> for Announcer {
    async fn handle(&self, news: NotifyShopper, context: JobContext) -> Outcome {
        log::tell(&self.0, context.id, &news).await?;
        Ok(())
    }
}

/// Hears what any replica tells shoppers, and passes it to the sockets of this one, until the end.
pub(crate) async fn listen(kv: Kv, hub: Arc<Hub>, shutdown: CancellationToken) {
    let listening = async {
        loop {
            match kv.listen(keys::SHOPPER_EVENTS).await {
                Ok(mut listener) => {
                    // What was said while nobody listened is in the logs.
                    hub.look_up();
                    while let Some(text) = listener.next().await {
                        if let Some((user, news)) = News::heard(&text) {
                            hub.tell(user, news);
                        } else {
                            tracing::warn!("something else than an event was said on the channel of events");
                        }
                    }
                    tracing::warn!("the channel of events is lost; it is opened again");
                }
                Err(error) => tracing::warn!(error.chain = telemetry::chain(&error), "the channel of events is closed"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! { () = listening => {}, () = shutdown.cancelled() => {} }
}
