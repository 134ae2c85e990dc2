//! What Prometheus reads: counters that the hot path keeps anyway, looked at when asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use telemetry::metrics::{KeyValue, Meter, meter};

use crate::out::Shared;
use crate::resolve::Catalogue;
use crate::ship::Health;
use crate::spool::Spool;
use crate::tally::Tally;

/// Registers everything.
pub(crate) fn register(shared: &Shared, spool: &Spool) {
    let meter = meter();
    of_clicks(&meter, &shared.tally);
    of_shipping(&meter, &shared.route.health);
    of_spool(&meter, spool);
    of_offers(&meter, &shared.catalogue);
}

fn of_clicks(meter: &Meter, tally: &Arc<Tally>) {
    let tally = tally.clone();
    let _kept_by_the_meter = meter
        .u64_observable_counter("clicks_recorded")
        .with_description("Clicks that are safe, by class")
        .with_callback(move |observer| {
            tally
                .classes()
                .for_each(|(class, clicks)| observer.observe(clicks, &[KeyValue::new("class", class.word())]));
        })
        .build();
}

fn of_shipping(meter: &Meter, of_all_threads: &Arc<Health>) {
    let health = of_all_threads.clone();
    let _kept_by_the_meter = meter
        .u64_observable_counter("clicks_shipped")
        .with_description(
            "Clicks by where they are safe: acknowledged by Redis, spooled, or lost (the shopper was not sent on)",
        )
        .with_callback(move |observer| {
            let counters =
                [("acknowledged", &health.acknowledged), ("spooled", &health.spooled), ("lost", &health.lost)];
            for (outcome, counter) in counters {
                observer.observe(counter.load(Ordering::Relaxed), &[KeyValue::new("outcome", outcome)]);
            }
        })
        .build();
    let health = of_all_threads.clone();
    let _kept_by_the_meter = meter
        .u64_observable_counter("clicks_round_trips")
        .with_description("Round trips to Redis that carried clicks and counts")
        .with_callback(move |observer| observer.observe(health.round_trips.load(Ordering::Relaxed), &[]))
        .build();
    let health = of_all_threads.clone();
    let _kept_by_the_meter = meter
        .u64_observable_gauge("clicks_waiting")
        .with_description("Length of the list after the last push")
        .with_callback(move |observer| observer.observe(health.waiting(), &[]))
        .build();
    let health = of_all_threads.clone();
    let _kept_by_the_meter = meter
        .u64_observable_gauge("clicks_redis_down")
        .with_description("1 while clicks are spooled because Redis is away")
        .with_callback(move |observer| observer.observe(u64::from(health.is_down()), &[]))
        .build();
}

fn of_spool(meter: &Meter, spool: &Spool) {
    let level = spool.clone();
    let _kept_by_the_meter = meter
        .u64_observable_gauge("clicks_spool_bytes")
        .with_description("Bytes of clicks in the local spool")
        .with_callback(move |observer| observer.observe(level.level().bytes(), &[]))
        .build();
    let level = spool.clone();
    let _kept_by_the_meter = meter
        .u64_observable_gauge("clicks_spool_records")
        .with_description("Clicks in the local spool")
        .with_callback(move |observer| observer.observe(level.level().records(), &[]))
        .build();
    let level = spool.clone();
    let _kept_by_the_meter = meter
        .u64_observable_gauge("clicks_spool_damaged")
        .with_description("Files of the spool set aside since the start because they were torn or changed")
        .with_callback(move |observer| observer.observe(level.level().damaged(), &[]))
        .build();
}

fn of_offers(meter: &Meter, catalogue: &Catalogue) {
    let catalogue = catalogue.clone();
    let _kept_by_the_meter = meter
        .u64_observable_counter("offers_resolved")
        .with_description("Look-ups of offers and merchants, by the tier that answered")
        .with_callback(move |observer| {
            let hits = catalogue.hits();
            let tiers = [
                ("memory", &hits.memory),
                ("stale", &hits.stale),
                ("redis", &hits.redis),
                ("postgres", &hits.postgres),
                ("failed", &hits.failed),
            ];
            for (tier, counter) in tiers {
                observer.observe(counter.load(Ordering::Relaxed), &[KeyValue::new("tier", tier)]);
            }
        })
        .build();
}
