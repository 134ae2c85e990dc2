//! The routes for programs.

use actix_web::web;

use super::{Route, Verb};
use crate::access::Rule;
use crate::{api, dead, records, replays, timeline, webhooks, workers};

const fn scope(scope: &'static str) -> Rule {
    Rule::Program(scope)
}

/// All of them.
pub(super) static API: &[Route] = &[
    get!("/api/v1/openapi.json", Rule::Anyone, "This description", api::openapi::serve),
    get!("/api/v1/health/workers", scope("queues:read"), "Every worker, and services without one", api::queues::health)
        .gives::<workers::Health>(),
    get!("/api/v1/queue/stats", scope("queues:read"), "How every queue stands", api::queues::stats)
        .gives::<api::queues::Stats>(),
    get!("/api/v1/queue/{queue}", scope("queues:read"), "How a queue stands", api::queues::stat)
        .gives::<workers::QueueView>(),
    post!(
        "/api/v1/queue/{queue}",
        scope("queues:write"),
        "Push a job; its payload is checked first",
        api::queues::enqueue
    )
    .takes::<api::queues::NewJob>()
    .gives::<api::queues::Pushed>(),
    get!("/api/v1/queue/{queue}/peek", scope("queues:read"), "The first jobs that wait, masked", api::queues::peek)
        .asks::<api::queues::Limit>()
        .gives::<api::queues::Peek>(),
    post!("/api/v1/queue/{queue}/pause", scope("queues:write"), "Stop claiming", api::queues::pause)
        .takes::<api::Reason>(),
    post!("/api/v1/queue/{queue}/resume", scope("queues:write"), "Claim again", api::queues::resume)
        .takes::<api::Reason>(),
    get!("/api/v1/queue/{queue}/dead", scope("queues:read"), "Dead letters, the newest first, masked", api::dead::list)
        .asks::<api::dead::Search>()
        .gives::<api::Listing<dead::Letter>>(),
    get!(
        "/api/v1/queue/{queue}/dead/count",
        scope("queues:read"),
        "How many dead letters a search means",
        api::dead::count
    )
    .asks::<api::dead::Search>()
    .gives::<api::dead::Counted>(),
    get!("/api/v1/queue/{queue}/dead/{id}", scope("queues:read"), "A dead letter, masked", api::dead::show)
        .gives::<dead::Letter>(),
    post!(
        "/api/v1/queue/{queue}/dead/{id}/replay",
        scope("queues:write"),
        "Put it back on its queue",
        api::dead::replay
    )
    .takes::<api::Reason>(),
    delete!("/api/v1/queue/{queue}/dead/{id}", scope("queues:write"), "Delete it", api::dead::delete)
        .asks::<api::Reason>(),
    get!(
        "/api/v1/queue/{queue}/replays",
        scope("queues:read"),
        "Replays of many and how they stand",
        api::dead::replays
    )
    .gives::<api::Listing<dead::Run>>(),
    post!("/api/v1/queue/{queue}/replays", scope("queues:write"), "Replay all that a search means", api::dead::start)
        .takes::<api::dead::NewReplay>()
        .gives::<dead::Run>(),
    post!(
        "/api/v1/queue/{queue}/replays/{id}/abort",
        scope("queues:write"),
        "Abort a replay of many",
        api::dead::abort
    )
    .takes::<api::Reason>(),
    get!("/api/v1/webhooks", scope("webhooks:read"), "Webhooks, the newest first", api::records::webhooks)
        .asks::<webhooks::Search>()
        .gives::<api::Listing<webhooks::Line>>(),
    get!("/api/v1/webhooks/{id}", scope("webhooks:read"), "A webhook, masked", api::records::webhook)
        .gives::<api::records::Webhook>(),
    post!(
        "/api/v1/webhooks/{id}/replay",
        scope("webhooks:write"),
        "Work it off again, or tell what that would do",
        api::records::replay
    )
    .takes::<api::records::NewReplay>()
    .gives::<api::records::Replay>(),
    get!("/api/v1/webhook-replays/{id}", scope("webhooks:read"), "How a replay stands", api::records::replay_state)
        .gives::<api::records::Replay>(),
    post!(
        "/api/v1/webhook-replay-runs",
        scope("webhooks:write"),
        "Count what a search means and tell what replaying some of it would do",
        api::replays::prepare
    )
    .takes::<replays::Wanted>()
    .gives::<replays::Run>(),
    get!(
        "/api/v1/webhook-replay-runs",
        scope("webhooks:read"),
        "Replays of many, the newest first",
        api::replays::list
    )
    .gives::<api::Listing<replays::Run>>(),
    get!("/api/v1/webhook-replay-runs/{id}", scope("webhooks:read"), "How a replay of many stands", api::replays::show)
        .gives::<replays::Run>(),
    get!(
        "/api/v1/webhook-replay-runs/{id}/replays",
        scope("webhooks:read"),
        "What it did, webhook by webhook; what it would do until it is started",
        api::replays::report
    )
    .asks::<api::replays::After>()
    .gives::<api::Listing<replays::Replay>>(),
    post!("/api/v1/webhook-replay-runs/{id}/start", scope("webhooks:write"), "Replay all of them", api::replays::start)
        .takes::<api::Reason>()
        .gives::<replays::Run>(),
    post!("/api/v1/webhook-replay-runs/{id}/abort", scope("webhooks:write"), "Ask for no more", api::replays::abort)
        .takes::<api::Reason>()
        .gives::<replays::Run>(),
    get!(
        "/api/v1/deliveries",
        scope("deliveries:read"),
        "Messages to people, the newest first",
        api::records::deliveries
    )
    .asks::<records::Messages>()
    .gives::<api::Listing<records::Delivery>>(),
    get!("/api/v1/cron/runs", scope("cron:read"), "Runs of recurring jobs", api::records::cron)
        .asks::<api::records::Runs>()
        .gives::<api::Listing<api::records::CronRun>>(),
    post!("/api/v1/cron/{job}/run", scope("cron:write"), "Run a job now", api::records::trigger)
        .takes::<api::records::Trigger>(),
    post!("/api/v1/cron/{job}/pause", scope("cron:write"), "Pause a job", api::records::pause_job)
        .takes::<api::records::CronPause>(),
    post!("/api/v1/cron/{job}/resume", scope("cron:write"), "Resume a job", api::records::resume_job)
        .takes::<api::Reason>(),
    get!("/api/v1/sync/runs", scope("sync:read"), "Pulls of networks, the newest first", api::records::sync_runs)
        .gives::<api::Listing<api::records::SyncRun>>(),
    post!("/api/v1/sync/{network}/pull", scope("sync:write"), "Pull a network now", api::records::pull)
        .takes::<api::Reason>(),
    get!("/api/v1/unmatched", scope("sync:read"), "Transactions without a click", api::records::unmatched)
        .asks::<api::records::Place>()
        .gives::<api::Listing<api::records::Unmatched>>(),
    post!("/api/v1/unmatched/{id}/assign", scope("sync:write"), "Give a transaction to a click", api::records::assign)
        .takes::<api::records::Assignment>(),
    get!(
        "/api/v1/wallets",
        scope("wallets:read"),
        "A shopper's wallet, by id, mail address or number",
        api::money::find
    )
    .asks::<api::money::Whose>()
    .gives::<api::money::Wallet>(),
    get!("/api/v1/wallets/{id}", scope("wallets:read"), "What is in a wallet", api::money::wallet)
        .gives::<api::money::Wallet>(),
    get!("/api/v1/wallets/{id}/statement", scope("wallets:read"), "A wallet's statement", api::money::lines)
        .asks::<api::money::After>()
        .gives::<api::Listing<api::money::Line>>(),
    get!("/api/v1/withdrawals", scope("wallets:read"), "Withdrawals, the newest first", api::money::list)
        .asks::<api::money::Which>()
        .gives::<api::Listing<api::money::Withdrawal>>(),
    post!("/api/v1/withdrawals", scope("withdrawals:write"), "Take money out of a wallet", api::money::withdraw)
        .takes::<api::money::NewRequest>()
        .gives::<api::money::Withdrawal>(),
    get!("/api/v1/withdrawals/{id}", scope("wallets:read"), "A withdrawal", api::money::withdrawal)
        .gives::<api::money::Withdrawal>(),
    post!("/api/v1/orders", scope("orders:write"), "Note an order before it is paid", api::money::order)
        .takes::<api::money::NewOrder>()
        .gives::<api::money::Order>(),
    get!("/api/v1/orders/{id}", scope("orders:write"), "An order", api::money::show_order).gives::<api::money::Order>(),
    get!(
        "/api/v1/timeline",
        scope("timeline:read"),
        "All that belongs to an id, an address or a number",
        api::records::timeline
    )
    .asks::<api::records::Text>()
    .gives::<api::Listing<timeline::Moment>>(),
    get!("/api/v1/audit", scope("audit:read"), "What was done by whom and why", api::records::audit)
        .asks::<records::Deeds>()
        .gives::<api::Listing<records::DeedLine>>(),
];
