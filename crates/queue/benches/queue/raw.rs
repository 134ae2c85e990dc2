//! What Redis does at best with the same bodies: no handler, no envelope, one connection.

use std::time::{Duration, Instant};

use config::{Environment, Reader};
use kv::Kv;
use kv::redis::{self, Script};
use testkit::Redis;

use crate::cases::push;
use crate::table::{Row, Table};
use crate::worker::{Idle, Told, now_ns};
use crate::{connect, redis_cpu};

const LIST: &str = "queue:email";

pub(crate) async fn limits(table: &mut Table, jobs: u64) {
    for count in [64, 500] {
        let redis = Redis::start();
        let kv = connect(&redis.url());
        push(&kv, jobs).await;
        let row = timed(&kv, jobs, async |kv| pop(kv, count).await).await;
        table.add(&format!("raw: LPOP {count}, nothing tracked, loses jobs"), "", row);
    }
    for count in [64, 500] {
        let redis = Redis::start();
        let kv = connect(&redis.url());
        push(&kv, jobs).await;
        let row = timed(&kv, jobs, async |kv| claim(kv, count).await).await;
        table.add(&format!("raw: Lua claim of {count} into a hash, HDEL"), "", row);
    }
}

async fn timed(kv: &Kv, jobs: u64, work: impl AsyncFnOnce(&Kv)) -> Row {
    let (before, begin) = (redis_cpu(kv).await, Instant::now());
    work(kv).await;
    let rate = Some(jobs as f64 / begin.elapsed().as_secs_f64());
    Row { rate, redis_us: Some((redis_cpu(kv).await - before) / jobs as f64), ..Row::default() }
}

async fn pop(kv: &Kv, count: usize) {
    let mut connection = kv.commands();
    loop {
        let bodies: Vec<Vec<u8>> = redis::cmd("LPOP").arg(LIST).arg(count).query_async(&mut connection).await.unwrap();
        if bodies.is_empty() {
            return;
        }
    }
}

async fn claim(kv: &Kv, count: usize) {
    let script = Script::new(
        "local bodies = redis.call('LPOP', KEYS[1], ARGV[1]) or {}
         local fields = {}
         for i = 1, #bodies do fields[2 * i - 1] = ARGV[2] + i; fields[2 * i] = bodies[i] end
         if #bodies > 0 then redis.call('HSET', KEYS[2], unpack(fields)) end
         return bodies",
    );
    let mut connection = kv.commands();
    let mut first = 0;
    loop {
        let bodies: Vec<Vec<u8>> = script
            .key(LIST)
            .key("{queue:email}:held")
            .arg(count)
            .arg(first)
            .invoke_async(&mut connection)
            .await
            .unwrap();
        if bodies.is_empty() {
            return;
        }
        let mut done = redis::cmd("HDEL");
        done.arg("{queue:email}:held");
        (1..=bodies.len()).for_each(|place| {
            done.arg(first + place);
        });
        done.exec_async(&mut connection).await.unwrap();
        first += bodies.len();
    }
}

/// The other end of a list: pops what is pushed, one by one, as soon as it is there, and tells how long it waited.
pub(crate) fn listen() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut reader = Reader::new(&Environment);
        let jobs: usize = reader.default("JOBS", 0, "how many jobs to wait for");
        let url: String = reader.default("REDIS_URL", String::new(), "the server");
        reader.finish(()).unwrap();
        let kv = connect(&url);
        let mut connection = kv.dedicated(Duration::from_secs(10));
        println!("ready");
        let mut told = Told::default();
        while told.waits_us.len() < jobs {
            let popped: Vec<Vec<u8>> =
                redis::cmd("BLPOP").arg("raw").arg(10).query_async(&mut connection).await.unwrap();
            let job: Idle = serde_json::from_slice(&popped[1]).unwrap();
            told.waits_us.push(now_ns().saturating_sub(job.ts) / 1_000);
        }
        println!("told {}", serde_json::to_string(&told).unwrap());
    });
}
