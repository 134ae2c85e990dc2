//! The first look at offers that memory does not hold.
//!
//! Those that are asked for at the same time share the way: one round trip to Redis, one statement in Postgres for what Redis does
//! not have, and one more round trip that leaves it there. By itself each would cost more than the click that it is for, and a
//! connection. There is no timer: what comes while two groups are on their way is the next one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::OfferId;
use kv::keys;
use store::StoreError;
use tokio::sync::oneshot;

use super::looked::Print;
use super::{Catalogue, POSTGRES_LIMIT, REDIS_LIMIT, ResolveError, lives, text_of};
use crate::terms::OfferTerms;

/// How many share the way.
const AT_ONCE: usize = 500;
/// How many groups are on their way at a time.
const GROUPS: usize = 2;

/// What there is to know of an offer; `None` in it when there is no such offer.
pub(super) type Known = (Option<OfferTerms>, Print);
type Answer = Result<Known, Arc<ResolveError>>;
type Asked = (OfferId, oneshot::Sender<Answer>);

/// Who waits for a first look.
#[derive(Default)]
pub(super) struct First(Mutex<Desk>);

#[derive(Default)]
struct Desk {
    waiting: Vec<Asked>,
    groups: usize,
}

impl First {
    /// Puts a question to the others; says whether a new group is to take them along.
    fn ask(&self, asked: Asked) -> bool {
        let mut desk = self.desk();
        desk.waiting.push(asked);
        let begins = desk.groups < GROUPS;
        desk.groups += usize::from(begins);
        begins
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group's place among those that are on their way; it is free again when this is dropped, whatever happened.
struct Place {
    catalogue: Catalogue,
    is_free: bool,
}

impl Place {
    /// Takes along who waits, until nobody does.
    async fn look_first(mut self) {
        loop {
            // Who asks in the same turn of the event loop comes along.
            tokio::task::yield_now().await;
            let asked = self.take();
            if asked.is_empty() {
                return;
            }
            self.catalogue.look_for(asked).await;
        }
    }

    /// Those who wait now. With the last of them the place is free: whoever comes after that begins a group.
    fn take(&mut self) -> Vec<Asked> {
        let mut desk = self.catalogue.0.first.desk();
        let count = desk.waiting.len().min(AT_ONCE);
        if count == 0 {
            desk.groups -= 1;
            self.is_free = true;
        }
        desk.waiting.drain(..count).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_free {
            self.catalogue.0.first.desk().groups -= 1;
        }
    }
}

impl Catalogue {
    /// What Redis or Postgres knows of an offer.
    pub(super) async fn first_look(&self, id: OfferId) -> Result<Known, ResolveError> {
        let (tell, told) = oneshot::channel();
        if self.0.first.ask((id, tell)) {
            // Made here: a task may be dropped before it begins.
            let place = Place { catalogue: self.clone(), is_free: false };
            self.0.tasks.spawn(place.look_first());
        }
        match tokio::time::timeout(REDIS_LIMIT + POSTGRES_LIMIT, told).await {
            Ok(Ok(answer)) => answer.map_err(ResolveError::Shared),
            Ok(Err(_)) | Err(_) => Err(ResolveError::Slow),
        }
    }

    async fn look_for(&self, mut asked: Vec<Asked>) {
        // Where stores are slow, many have stopped waiting by the time it is their turn.
        asked.retain(|(_, tell)| !tell.is_closed());
        let changes = self.changes();
        let ids: HashSet<_> = asked.iter().map(|(id, _)| *id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let mut answers: HashMap<OfferId, Answer> = HashMap::new();
        let keys: Vec<_> = ids.iter().copied().map(keys::redirect_url).collect();
        for ((id, key), text) in ids.iter().zip(&keys).zip(self.texts(&keys).await) {
            if let Some(known) = text.and_then(|text| self.understood::<OfferTerms>(key, &text)) {
                answers.insert(*id, Ok(known));
            }
        }
        let missing: Vec<_> = ids.into_iter().filter(|id| !answers.contains_key(id)).collect();
        let texts = self.read(&missing, &mut answers).await;
        for (id, tell) in asked {
            if let Some(answer) = answers.get(&id) {
                // Who has stopped waiting needs no answer.
                let _gone = tell.send(answer.clone());
            }
        }
        self.keep(&texts, changes).await;
    }

    /// Answers what Redis does not know; gives what is to be left there.
    async fn read(
        &self,
        missing: &[OfferId],
        answers: &mut HashMap<OfferId, Answer>,
    ) -> Vec<(String, String, Duration)> {
        let mut texts = Vec::new();
        if missing.is_empty() {
            return texts;
        }
        let found = self.in_postgres(missing).await.map_err(Arc::new);
        for id in missing {
            let terms = match &found {
                Ok(found) => found.get(id).map_or(Ok(None), |terms| terms.clone().map(Some)),
                Err(error) => Err(error.clone()),
            };
            let answer = terms.map(|terms| {
                let text = text_of(terms.as_ref());
                let print = Print::of(&text);
                texts.push((keys::redirect_url(*id), text, lives(terms.is_some())));
                (terms, print)
            });
            answers.insert(*id, answer);
        }
        texts
    }

    /// What Postgres has of offers. A row that cannot be read is its own offer's trouble.
    async fn in_postgres(
        &self,
        ids: &[OfferId],
    ) -> Result<HashMap<OfferId, Result<OfferTerms, Arc<ResolveError>>>, ResolveError> {
        let read = async {
            let client = self.0.pool.get().await?;
            store::catalogue::find_offers(&client, ids).await
        };
        let found = self.ask(ids.len(), read).await?;
        let terms = |offer: Result<_, StoreError>| {
            offer.map(OfferTerms::from).map_err(|error| Arc::new(ResolveError::from(error)))
        };
        Ok(found.into_iter().map(|(id, offer)| (id, terms(offer))).collect())
    }
}
