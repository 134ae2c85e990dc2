//! In Redis Cluster only: moving urgent jobs of foreign producers from `queue:<name>:urgent` to the queue's own slot.
//!
//! The plain name lies in another slot than the queue, so no script can claim from both. The move takes three steps and is
//! safe to break off after each: jobs are set aside under a number, put on the queue's list once for that number, forgotten.

use domain::clock::{Clock, SystemClock};
use domain::ids::JobId;
use kv::Connection;
use kv::redis::{self, RedisError, Value};

use crate::layout::Layout;
use crate::scripts::{CALL_LIMIT, INTAKE_PUT, INTAKE_TAKE, call, run};

/// Moves what waits on `list`, 500 at a time; says by `lives` that it goes on.
pub(crate) async fn empty(
    redis: &mut Connection,
    list: &str,
    layout: &Layout,
    lives: impl Fn(),
) -> Result<(), RedisError> {
    let aside = format!("{{{list}}}:aside");
    let seen = kv::keys::of_queue(layout.queue, "intake");
    loop {
        lives();
        let mut take = call(&INTAKE_TAKE, &[list, &aside]);
        take.arg(JobId::generate().to_string());
        let mut taken = run::<Vec<Value>>(redis, &INTAKE_TAKE, &take).await?.into_iter();
        let Some(Value::BulkString(number)) = taken.next() else { return Ok(()) };
        let bodies: Vec<Vec<u8>> = taken
            .filter_map(|value| match value {
                Value::BulkString(body) => Some(body),
                _ => None,
            })
            .collect();
        let mut put = call(&INTAKE_PUT, &[&layout.urgent, &seen]);
        put.arg(&number).arg(SystemClock.now().timestamp_millis()).arg(&bodies);
        run::<i64>(redis, &INTAKE_PUT, &put).await?;
        redis::cmd("HDEL").arg(&aside).arg(&number).query_async::<()>(redis).await?;
        if bodies.len() < CALL_LIMIT {
            return Ok(());
        }
    }
}
