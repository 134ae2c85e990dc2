//! The steps of a job's life, each one script: whole or not at all.

use std::sync::LazyLock;

use kv::redis::{self, Cmd, FromRedisValue, RedisError, RedisResult};
use kv::{Connection, Script};

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!(concat!("lua/", $file))));)+
    };
}

scripts! {
    TURN = "turn.lua";
    SETTLE = "settle.lua";
    RENEW = "renew.lua";
    TICK = "tick.lua";
    REAP = "reap.lua";
    LEAVE = "leave.lua";
    FENCE = "fence.lua";
    OUTAGE = "outage.lua";
    CIRCUIT = "circuit.lua";
    PUSH_ONCE = "push_once.lua";
    PUSH_LATER = "push_later.lua";
    REPLAY = "replay.lua";
    DELETE = "delete.lua";
    CENSUS = "census.lua";
    INTAKE_TAKE = "intake_take.lua";
    INTAKE_PUT = "intake_put.lua";
}

/// The most jobs one call moves: a script must not hold Redis for more than a millisecond or so.
pub(crate) const CALL_LIMIT: usize = 500;
/// The most outcomes one call writes: each is several commands.
pub(crate) const SETTLE_LIMIT: usize = 100;

/// A call of `script` on `keys`; add the arguments. Redis may answer that it does not know the script: see [`run`].
pub(crate) fn call(script: &Script, keys: &[&str]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(script.get_hash()).arg(keys.len()).arg(keys);
    cmd
}

/// Makes a call, teaching Redis the script when it does not know it.
pub(crate) async fn run<T: FromRedisValue>(connection: &mut Connection, script: &Script, cmd: &Cmd) -> RedisResult<T> {
    match cmd.query_async(connection).await {
        Err(error) if is_unknown_script(&error) => {
            script.load_async(connection).await?;
            cmd.query_async(connection).await
        }
        answer => answer,
    }
}

/// Redis was restarted, or a fail-over led to a server that has never seen the script.
pub(crate) fn is_unknown_script(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::NoScript))
}
