//! Whether the service is alive.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::{Database, Redis, binary, eventually, eventually_true};

use crate::stage::SOON;

/// A loop may stand still for 25 seconds before it counts as stuck.
const LIMIT: Duration = Duration::from_secs(90);

/// Killed with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Reads its lines until it says where this endpoint is.
fn listening(lines: &mut impl BufRead, endpoint: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        if entry["message"] == "listening" && entry["endpoint"] == endpoint {
            return format!("http://{}", entry["address"].as_str().unwrap());
        }
    }
}

/// The loop is held from outside: nobody takes the lines that the service writes, so whoever has something to say waits. The loop
/// of a queue has something to say when Redis goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_queues_loop_that_stands_still_is_not_alive_and_one_whose_redis_is_away_is() {
    let (database, mut redis) = (Database::start().await, Redis::start());
    let (url, redis_url) = (database.url(), redis.url());
    let (read, write) = std::io::pipe().unwrap();
    let mut others = write.try_clone().unwrap();
    let mut command = Command::new(binary("admin"));
    let addresses = [("OPS_ADDR", "127.0.0.1:0"), ("HTTP_ADDR", "127.0.0.1:0"), ("LOG_FORMAT", "json")];
    command.env_clear().envs(addresses).env("DATABASE_URL", &url).env("REDIS_URL", &redis_url).stdout(write);
    let _running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(read);
    let ops = listening(&mut lines, "ops");
    let _http = listening(&mut lines, "http");
    let (client, address) = (testkit::http(), format!("{ops}/healthz"));
    let ask = async || {
        let answer = client.get(&address).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask().await, (200, "alive\n".to_owned()));

    // More than a pipe takes.
    thread::spawn(move || others.write_all("\n".repeat(1 << 20).as_bytes()));
    redis.kill();
    let said = eventually("a loop that stands still is told", LIMIT, async || {
        let (status, said) = ask().await;
        (status == 503).then_some(said)
    })
    .await;
    assert!(said.contains("worker: queue events: has not gone round for "), "{said}");

    thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    eventually_true("the loop goes round again, and Redis is still away", SOON, async || ask().await.0 == 200).await;
}
