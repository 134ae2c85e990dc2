//! What each shopper was told live in the last 24 hours, in the order in which it was told: a Redis stream a shopper. Whoever was
//! away asks for what came after the last event seen.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::{Clock as _, SystemClock};
use domain::ids::{JobId, UserId};
use domain::jobs::event::{NotifyShopper, ShopperEvent};
use kv::{Kv, KvError, Script, keys, redis};
use serde::Serialize;

/// For how long nothing is missed.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The place of an event in a shopper's log, as the server gave it: milliseconds and a number within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64, u64);

impl Place {
    /// When the event was told.
    pub(super) fn at(self) -> DateTime<Utc> {
        i64::try_from(self.0).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// Whether what came after it may be forgotten already.
    pub(super) fn is_forgotten(self) -> bool {
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        self.at().timestamp_millis() < SystemClock.now().timestamp_millis() - kept
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, number) = text.split_once('-').ok_or(())?;
        Ok(Self(at.parse().map_err(drop)?, number.parse().map_err(drop)?))
    }
}

/// An event as a socket gets it.
#[derive(Debug)]
pub(super) struct News {
    pub(super) place: Place,
    /// The frame's text.
    pub(super) text: String,
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    id: String,
    at: DateTime<Utc>,
    event: &'a serde_json::value::RawValue,
}

impl News {
    fn new(place: &str, event: &str) -> Option<Self> {
        let place: Place = place.parse().ok()?;
        let event = serde_json::from_str(event).ok()?;
        let frame = Frame { r#type: "event", id: place.to_string(), at: place.at(), event };
        Some(Self { place, text: serde_json::to_string(&frame).ok()? })
    }

    /// What was said on the channel: whose news it is, and the news.
    pub(super) fn heard(text: &str) -> Option<(UserId, Self)> {
        let mut parts = text.splitn(3, ' ');
        let (user, place, event) = (parts.next()?, parts.next()?, parts.next()?);
        Some((user.parse().ok()?, Self::new(place, event)?))
    }
}

/// One step: nobody can hear an event that is not in the log, and a job that comes twice is told once.
static TELL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[2]) then return 0 end
         local now = redis.call('TIME')
         redis.call('XTRIM', KEYS[1], 'MINID', (now[1] - ARGV[2]) * 1000)
         local id = redis.call('XADD', KEYS[1], '*', 'event', ARGV[3])
         redis.call('EXPIRE', KEYS[1], ARGV[2])
         redis.call('PUBLISH', ARGV[4], ARGV[1] .. ' ' .. id .. ' ' .. ARGV[3])
         return 1",
    )
});

/// Tells a shopper: writes it to the log and says it to all replicas.
pub(super) async fn tell(kv: &Kv, job: JobId, news: &NotifyShopper) -> anyhow::Result<()> {
    let event: &ShopperEvent = &news.event;
    TELL.key(keys::shopper_events(news.user_id))
        .key(keys::shopper_event_once(news.user_id, job))
        .arg(news.user_id.to_string())
        .arg(KEPT.as_secs())
        .arg(serde_json::to_string(event)?)
        .arg(keys::SHOPPER_EVENTS)
        .invoke_async::<i64>(&mut kv.commands())
        .await
        .map_err(kv::tried("telling a shopper"))?;
    Ok(())
}

/// What a shopper was told after `place`: the first part of it, nothing when there is no more.
pub(super) async fn after(kv: &Kv, user: UserId, place: Place) -> Result<Vec<News>, KvError> {
    type Entry = (String, (String, String));
    let found: Vec<Entry> = redis::cmd("XRANGE")
        .arg(keys::shopper_events(user))
        .arg(format!("({place}"))
        .arg("+")
        .arg("COUNT")
        .arg(100)
        .query_async(&mut kv.commands())
        .await
        .map_err(kv::tried("reading what a shopper was told"))?;
    Ok(found.into_iter().filter_map(|(place, (_, event))| News::new(&place, &event)).collect())
}

/// The place of the newest event, or of the present moment when there is none.
pub(super) async fn newest(kv: &Kv, user: UserId) -> Result<Place, KvError> {
    type Entry = (String, (String, String));
    let (seconds, micros): (u64, u64) =
        redis::cmd("TIME").query_async(&mut kv.commands()).await.map_err(kv::tried("asking the time"))?;
    let now = Place(seconds * 1_000 + micros / 1_000, 0);
    let found: Vec<Entry> = redis::cmd("XREVRANGE")
        .arg(keys::shopper_events(user))
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(&mut kv.commands())
        .await
        .map_err(kv::tried("reading what a shopper was told last"))?;
    Ok(found.first().and_then(|(place, _)| place.parse().ok()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_the_channel_becomes_a_frame() {
        let user = UserId::generate();
        let (whose, news) =
            News::heard(&format!("{user} 1740000000123-4 {{\"type\":\"withdrawal_failed\",\"amount\":5}}")).unwrap();
        assert_eq!((whose, news.place), (user, Place(1_740_000_000_123, 4)));
        assert_eq!(
            news.text,
            "{\"type\":\"event\",\"id\":\"1740000000123-4\",\"at\":\"2025-02-19T21:20:00.123Z\",\"event\":{\"type\":\"withdrawal_failed\",\"amount\":5}}"
        );
        assert!(News::heard("nobody 1-1 {}").is_none() && News::heard(&format!("{user} 1 {{}}")).is_none());
        assert!(news.place.is_forgotten() && "9-10".parse::<Place>() > "9-9".parse());
    }
}
