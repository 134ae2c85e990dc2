//! The steps of a job's life, each one script: whole or not at all.

use std::sync::LazyLock;

use kv::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!(concat!("lua/", $file))));)+
    };
}

scripts! {
    TURN = "turn.lua";
    SETTLE = "settle.lua";
    RENEW = "renew.lua";
    REAP = "reap.lua";
    PROMOTE = "promote.lua";
    LEAVE = "leave.lua";
    PUSH_ONCE = "push_once.lua";
    REPLAY = "replay.lua";
}

/// The most jobs one call moves: a script must not hold Redis for more than a millisecond or so.
pub(crate) const CALL_LIMIT: usize = 500;
