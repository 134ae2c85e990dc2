//! The adapters against the simulated providers, over real connections.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use domain::clock::{Clock, ManualClock, SystemClock};
use domain::money::Paise;
use domain::transaction::TransactionStatus;
use networks::{NetworkError, TieOut, Window};
use outbound::ProviderError;
use serde_json::{Value, json};
use testkit::Sim;

use crate::setup::{Api, Read, read, read_with, tied_out, wide};

async fn bulk(sim: &Sim, api: Api, count: usize) -> Value {
    let body = json!({"network": api.network().slug(), "count": count, "days": 25, "seed": 7});
    sim.post("/_sim/transactions/bulk", &body).await
}

/// The commission of what was read, in paise.
fn ours(read: &Read) -> i64 {
    read.transactions.iter().map(|row| row.commission.get()).sum()
}

/// The commission of what the simulator made, in paise.
fn theirs(made: &Value) -> i64 {
    let sums = made["by_status"].as_object().unwrap().values();
    sums.map(|sum| Paise::parse_rupees(sum["commission"].as_str().unwrap()).unwrap().get()).sum()
}

/// The ids that the simulator holds, sorted.
async fn ids(sim: &Sim, api: Api) -> Vec<String> {
    let all = sim.get(&format!("/_sim/transactions?network={}&limit=100000", api.network().slug())).await;
    let mut ids: Vec<_> = all["transactions"].as_array().unwrap().iter().map(|row| id_of(&row["id"])).collect();
    ids.sort();
    ids
}

fn id_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn add(sim: &Sim, api: Api, mut row: Value) -> String {
    row["network"] = api.network().slug().into();
    id_of(&sim.post("/_sim/transactions", &row).await["id"])
}

async fn fault(sim: &Sim, api: Api, mut fault: Value) {
    fault["provider"] = api.network().slug().into();
    sim.post("/_sim/faults", &fault).await;
}

async fn calls(sim: &Sim, part: &str) -> usize {
    let journal = sim.get("/_sim/requests?provider=admitad").await;
    let list = journal.as_array().or(journal["requests"].as_array()).unwrap();
    list.iter().filter(|request| request["path"].as_str().is_some_and(|path| path.contains(part))).count()
}

#[tokio::test]
async fn every_row_is_read_once_and_tied_out_over_every_api() {
    for api in Api::ALL {
        let sim = Sim::start();
        let made = bulk(&sim, api, 730).await;
        let (read, verdict) = tied_out(&*api.at(&sim.at(api.path()), &[]), wide()).await;
        assert_eq!(verdict, TieOut::Agrees, "{api:?}");
        assert_eq!(read.ids(), ids(&sim, api).await, "{api:?}");
        assert!(read.put_aside.is_empty() && read.pages >= 8, "{api:?}: {} pages", read.pages);
        assert_eq!(ours(&read), theirs(&made), "{api:?}: not a paisa is lost");
    }
}

/// Of two answers the one that was asked for later counts, so a question that waits for its turn may not say that it was asked
/// before.
#[tokio::test]
async fn a_row_is_of_the_time_at_which_its_question_left() {
    let gap = TimeDelta::milliseconds(300);
    let pace = ["ADMITAD_CALLS_PER_MINUTE", "VCOMMISSION_CALLS_PER_MINUTE", "CUELINKS_CALLS_PER_MINUTE"];
    for api in Api::MAIN {
        let sim = Sim::start();
        bulk(&sim, api, 1).await;
        let network = api.at(&sim.at(api.path()), &pace.map(|name| (name, "200")));
        let mut asked = Vec::new();
        for _ in 0..2 {
            let read = read(&*network, wide()).await.unwrap();
            asked.push(read.transactions[0].observed_at);
        }
        assert!(asked[1] - asked[0] > gap / 2, "{api:?}: {asked:?}");
    }
}

/// Reads a window of 50,000 rows, the most at a time that the network gives, and compares the sums.
async fn fifty_thousand_rows(api: Api) {
    let sim = Sim::start();
    let made = bulk(&sim, api, 50_000).await;
    let settings = [
        ("ADMITAD_PAGE_SIZE", "500"),
        ("VCOMMISSION_PAGE_SIZE", "1000"),
        ("CUELINKS_PAGE_SIZE", "100"),
        ("OUTBOUND_TIMEOUT_MS", "20000"),
    ];
    let begin = std::time::Instant::now();
    let (read, verdict) = tied_out(&*api.at(&sim.at(api.path()), &settings), wide()).await;
    println!("{api:?}: {} pages in {:.1} s", read.pages, begin.elapsed().as_secs_f64());
    assert_eq!((read.ids().len(), verdict), (50_000, TieOut::Agrees), "{api:?}");
    assert_eq!(ours(&read), theirs(&made), "{api:?}: not a paisa is lost");
}

#[tokio::test]
async fn serial_fifty_thousand_rows_of_admitad_are_read_to_the_end() {
    fifty_thousand_rows(Api::Admitad).await;
}

#[tokio::test]
async fn serial_fifty_thousand_rows_of_vcommission_are_read_to_the_end() {
    fifty_thousand_rows(Api::Vcommission).await;
}

#[tokio::test]
async fn serial_fifty_thousand_rows_of_cuelinks_are_read_to_the_end() {
    fifty_thousand_rows(Api::CuelinksV3).await;
}

#[tokio::test]
async fn a_fault_in_mid_run_costs_an_attempt_and_not_a_row() {
    let faults = [
        json!({"fault": "rate_limit", "times": 1}),
        json!({"fault": "cut_body", "times": 2}),
        json!({"fault": "reset", "times": 1}),
        json!({"fault": "html", "times": 1}),
        json!({"fault": "html", "status": 200, "times": 1}),
        json!({"fault": "status", "status": 500, "times": 2}),
        json!({"fault": "accept_then_timeout", "ms": 100, "times": 1}),
    ];
    for api in [Api::Admitad, Api::Vcommission, Api::CuelinksV3, Api::CuelinksV2] {
        let sim = Sim::start();
        bulk(&sim, api, 730).await;
        let network = api.at(&sim.at(api.path()), &[]);
        let list = if api == Api::Admitad { "statistics" } else { "/" };
        for wanted in &faults {
            let read = read_with(&*network, wide(), async |page| {
                if page == 3 {
                    let mut wanted = wanted.clone();
                    wanted["path_contains"] = list.into();
                    fault(&sim, api, wanted).await;
                }
            });
            let read = read.await.unwrap_or_else(|error| panic!("{api:?} {wanted}: {error}"));
            assert_eq!(read.ids().len(), 730, "{api:?} {wanted}");
        }
    }
}

#[tokio::test]
async fn three_cut_bodies_are_an_error_that_keeps_the_cursor() {
    for api in Api::MAIN {
        let sim = Sim::start();
        bulk(&sim, api, 250).await;
        let network = api.at(&sim.at(api.path()), &[]);
        let first = network.page(wide(), None).await.unwrap();
        let list = if api == Api::Admitad { "statistics" } else { "/" };
        fault(&sim, api, json!({"fault": "cut_body", "times": 3, "path_contains": list})).await;
        let error = network.page(wide(), first.next.as_ref()).await.unwrap_err();
        assert!(error.is_transient(), "{api:?}: {error}");
        assert_eq!(network.page(wide(), first.next.as_ref()).await.unwrap().rows.len(), 100, "{api:?}");
    }
}

#[tokio::test]
async fn a_token_that_expired_is_replaced_once_in_mid_run() {
    let sim = Sim::start();
    bulk(&sim, Api::Admitad, 450).await;
    let network = Api::Admitad.at(&sim.at("/admitad"), &[]);
    let read = read_with(&*network, wide(), async |page| {
        if page == 2 {
            // To the simulator a week has passed; to us the token is fresh, so only the refusal tells.
            sim.post("/_sim/config", &json!({"clock_offset_s": 604_801})).await;
        }
    });
    assert_eq!(read.await.unwrap().ids().len(), 450);
    assert_eq!(calls(&sim, "/token/").await, 2, "one at the start, one after the refusal");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let sim = Sim::start();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let today = clock.now().date_naive();
    let past = Window::ActionDates { from: today - TimeDelta::days(60), to: today - TimeDelta::days(10) };
    let network = Api::Admitad.with_clock(&sim.at("/admitad"), &[], clock.clone());
    network.aggregate(past).await.unwrap();
    assert_eq!(calls(&sim, "/token/").await, 1);
    clock.advance(TimeDelta::days(5));
    network.aggregate(past).await.unwrap();
    assert_eq!(calls(&sim, "/token/").await, 1, "five days of seven are less than four fifths");
    clock.advance(TimeDelta::days(1));
    network.aggregate(past).await.unwrap();
    assert_eq!(calls(&sim, "/token/").await, 2, "six days are more");
}

#[tokio::test]
async fn a_dead_refresh_token_is_no_harm_and_wrong_credentials_need_a_person() {
    let sim = Sim::start();
    let network = Api::Admitad.at(&sim.at("/admitad"), &[("ADMITAD_REFRESH_TOKEN", "dead")]);
    network.aggregate(wide()).await.unwrap();
    assert_eq!(calls(&sim, "/token/").await, 2, "by refresh token, then by credentials");

    let keys = json!({"keys": {"admitad": ["client:other"], "vcommission": ["other"], "cuelinks": ["other"]}});
    sim.post("/_sim/config", &keys).await;
    for api in Api::MAIN {
        let error = api.at(&sim.at(api.path()), &[]).aggregate(wide()).await.unwrap_err();
        assert!(matches!(error, NetworkError::Provider(ProviderError::Locked { .. })), "{api:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_status_that_no_contract_names_is_put_aside() {
    for api in Api::MAIN {
        let sim = Sim::start();
        let row = json!({"status": "extended", "force": true, "commission": "10.00", "sale_amount": "100.00", "currency": "INR"});
        let id = add(&sim, api, row).await;
        let fine = add(&sim, api, json!({"status": "pending", "commission": "10.00", "currency": "INR"})).await;
        let (read, verdict) = tied_out(&*api.at(&sim.at(api.path()), &[]), wide()).await;
        assert_eq!(verdict, TieOut::Agrees, "{api:?}");
        assert_eq!(read.transactions.iter().map(|row| &row.external_id).collect::<Vec<_>>(), [&fine]);
        let aside = &read.put_aside[0];
        assert_eq!(aside.external_id.as_ref(), Some(&id), "{api:?}");
        assert_eq!(aside.reason.to_string(), "the status \"extended\" is unknown", "{api:?}");
    }
}

#[tokio::test]
async fn a_postback_is_confirmed_by_asking_for_its_transaction_or_its_click() {
    for api in [Api::Admitad, Api::Vcommission, Api::CuelinksV3, Api::CuelinksV2] {
        let sim = Sim::start();
        bulk(&sim, api, 120).await;
        let click = domain::ids::ClickId::generate().compact();
        let row = json!({"sub_id": click, "commission": "55.00", "currency": "INR", "status": "pending"});
        let id = add(&sim, api, row).await;
        let network = api.at(&sim.at(api.path()), &[]);
        let rows = network.by_sub_id(&click).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.external_id().unwrap()).collect::<Vec<_>>(), [&id], "{api:?}");
        assert!(network.by_sub_id("never-sent").await.unwrap().is_empty(), "{api:?}");
        match network.by_id(&id).await {
            Ok(rows) => assert_eq!((api, rows.len(), rows[0].external_id()), (Api::Admitad, 1, Some(id.as_str()))),
            Err(error) => assert!(matches!(error, NetworkError::Unsupported { .. }), "{api:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn rows_that_leave_the_window_while_it_is_read_hide_no_others() {
    let sim = Sim::start();
    bulk(&sim, Api::Admitad, 420).await;
    let network = Api::Admitad.at(&sim.at("/admitad"), &[]);
    let now = SystemClock.now();
    let window = Window::UpdatedSince { from: now - TimeDelta::days(40), to: now - TimeDelta::seconds(1) };
    let all = ids(&sim, Api::Admitad).await;
    let before = network.aggregate(window).await.unwrap();
    assert_eq!(before.count, 420);
    let mut moved = Vec::new();
    let read = read_with(&*network, window, async |page| {
        if page == 1 {
            // Their status changes now, so the window that ends before now loses them.
            for id in all.iter().take(30) {
                let path = format!("/_sim/transactions/admitad/{id}");
                sim.post(&path, &json!({"comment": "x", "commission": "1.00"})).await;
                moved.push(id.clone());
            }
        }
    });
    let read = read.await.unwrap();
    let seen = read.ids();
    let lost: Vec<_> = all.iter().filter(|id| !moved.contains(id) && !seen.contains(id)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    let after = network.aggregate(window).await.unwrap();
    assert_eq!(after.count, 390);
    assert_eq!(read.tally.against(&before, &after), TieOut::Moving, "the run is read again");
    let next = Window::UpdatedSince { from: now - TimeDelta::days(2), to: now + TimeDelta::seconds(60) };
    let next = crate::setup::read(&*network, next).await.unwrap().ids();
    assert!(moved.iter().all(|id| next.contains(id)), "the next run sees what moved");
}

#[tokio::test]
async fn what_came_after_the_approval_is_seen_by_its_update_time() {
    let sim = Sim::start();
    let at = (SystemClock.now() - TimeDelta::days(20)).to_rfc3339();
    let row = json!({"commission": "10.00", "currency": "INR", "status": "pending", "at": at});
    let id = add(&sim, Api::Admitad, row).await;
    let network = Api::Admitad.at(&sim.at("/admitad"), &[]);
    let now = SystemClock.now();
    let recent =
        |ahead: i64| Window::UpdatedSince { from: now - TimeDelta::hours(48), to: now + TimeDelta::seconds(ahead) };
    assert!(read(&*network, recent(0)).await.unwrap().ids().is_empty());
    sim.post(&format!("/_sim/transactions/admitad/{id}"), &json!({"status": "approved", "paid": true})).await;
    let seen = read(&*network, recent(60)).await.unwrap().transactions;
    assert_eq!((seen[0].status, seen[0].funded), (TransactionStatus::Payable, true));
    assert!(seen[0].status_updated_at.unwrap() > seen[0].occurred_at);
}

#[tokio::test]
async fn a_silent_network_costs_the_time_out_and_no_more() {
    let sim = Sim::start();
    for api in [Api::Vcommission, Api::CuelinksV3] {
        fault(&sim, api, json!({"fault": "accept_then_timeout", "ms": 30000})).await;
        let network = api.at(&sim.at(api.path()), &[("OUTBOUND_TIMEOUT_MS", "150")]);
        let begin = std::time::Instant::now();
        let error = network.aggregate(wide()).await.unwrap_err();
        assert!(matches!(error, NetworkError::Provider(ProviderError::Unknown { .. })), "{api:?}: {error:?}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{api:?}: {:?}", begin.elapsed());
    }
}
