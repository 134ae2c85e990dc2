//! Clicks at a rate that is kept whatever the server does: pace PORT OFFERS CLIENTS RATE SECONDS CONNECTIONS.
//!
//! Each connection has a thread and a timetable. A click that must wait because the one before it is not answered yet
//! has waited all the same: its time counts from when it was due, not from when it could be sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const AGENT: &str = "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";

struct Load {
    port: u16,
    offers: Vec<String>,
    clients: usize,
    connections: usize,
    /// How far two clicks of one connection are apart.
    step: Duration,
    start: Instant,
    end: Instant,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| words[index].parse::<f64>().expect("a number");
    let (rate, seconds, connections) = (number(3), number(4), number(5) as usize);
    let start = Instant::now() + Duration::from_millis(200);
    let load = Load {
        port: number(0) as u16,
        offers: std::fs::read_to_string(&words[1]).expect("offers").lines().map(str::to_owned).collect(),
        clients: number(2) as usize,
        connections,
        step: Duration::from_secs_f64(connections as f64 / rate),
        start,
        end: start + Duration::from_secs_f64(seconds),
    };
    let results: Vec<(Vec<u32>, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|index| scope.spawn({
            let load = &load;
            move || connection(load, index)
        })).collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection")).collect()
    });
    let bad: usize = results.iter().map(|(_, bad)| bad).sum();
    let mut micros: Vec<u32> = results.into_iter().flat_map(|(micros, _)| micros).collect();
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    let took = load.start.elapsed().as_micros();
    println!("FIGURES {} {took} {} {} {bad} {}", micros.len(), at(0.5), at(0.99), at(1.0));
}

/// The times of one connection's clicks in microseconds, and how many of them got no redirect.
fn connection(load: &Load, index: usize) -> (Vec<u32>, usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", load.port)).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a bound");
    let mut due = load.start + load.step.mul_f64(index as f64 / load.connections as f64);
    let (mut micros, mut bad, mut turn, mut answer) = (Vec::new(), 0, index, [0; 8_192]);
    while due < load.end {
        if let Some(pause) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(pause);
        }
        let (offer, client) = (&load.offers[turn % load.offers.len()], turn % load.clients);
        let [_, a, b, c] = u32::try_from(client).expect("a client").to_be_bytes();
        let request = format!(
            "GET /out/{offer} HTTP/1.1\r\nX-Forwarded-For: 10.{a}.{b}.{c}\r\nHost: shop.test\r\nUser-Agent: {AGENT}\r\nAccept: text/html\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a click");
        let mut length = 0;
        // A redirect has no body.
        while !answer[..length].ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut answer[length..]).expect("an answer");
            assert!(read > 0, "the server hung up, or its answer is no redirect");
            length += read;
        }
        bad += usize::from(!answer.starts_with(b"HTTP/1.1 302"));
        micros.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
        due += load.step;
        turn += load.connections;
    }
    (micros, bad)
}
