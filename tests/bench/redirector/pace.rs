//! Clicks at a rate that is kept whatever the server does: pace PORT OFFERS CLIENTS RATE SECONDS CONNECTIONS.
//!
//! Each connection has a timetable. A click that must wait because the one before it is not answered yet has waited all the
//! same: its time counts from when it was due, not from when it could be sent. One thread keeps all timetables: a thread for
//! each connection took more of two cores than the server, and what was measured was how threads wait for each other.

use std::collections::BinaryHeap;
use std::cmp::Reverse;
use std::ffi::c_void;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::{Duration, Instant};

const AGENT: &str = "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";
/// No answer takes that long.
const LONGEST: Duration = Duration::from_secs(10);

struct Load {
    offers: Vec<String>,
    clients: usize,
    connections: usize,
    /// How far two clicks of one connection are apart.
    step: Duration,
    start: Instant,
    end: Instant,
}

struct Connection {
    stream: TcpStream,
    due: Instant,
    turn: usize,
    answer: Vec<u8>,
}

/// What was seen.
#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    bad: usize,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| words[index].parse::<f64>().expect("a number");
    let (port, rate, seconds, connections) = (number(0) as u16, number(3), number(4), number(5) as usize);
    let start = Instant::now() + Duration::from_millis(200);
    let load = Load {
        offers: std::fs::read_to_string(&words[1]).expect("offers").lines().map(str::to_owned).collect(),
        clients: number(2) as usize,
        connections,
        step: Duration::from_secs_f64(connections as f64 / rate),
        start,
        end: start + Duration::from_secs_f64(seconds),
    };
    let mut seen = run(&load, (0..connections).map(|index| Connection::open(&load, port, index)).collect());
    seen.micros.sort_unstable();
    let at = |share: f64| seen.micros[((seen.micros.len() - 1) as f64 * share) as usize];
    let took = load.start.elapsed().as_micros();
    println!("FIGURES {} {took} {} {} {} {}", seen.micros.len(), at(0.5), at(0.99), seen.bad, at(1.0));
}

fn run(load: &Load, mut connections: Vec<Connection>) -> Seen {
    let mut seen = Seen::default();
    let mut waiting: Vec<PollFd> =
        connections.iter().map(|connection| PollFd { fd: connection.stream.as_raw_fd(), events: POLLIN, revents: 0 }).collect();
    // Those whose last click is answered, by when the next is due.
    let mut free: BinaryHeap<_> =
        connections.iter().enumerate().map(|(index, connection)| Reverse((connection.due, index))).collect();
    let mut sent = 0;
    while sent > 0 || !free.is_empty() {
        while let Some(&Reverse((due, index))) = free.peek()
            && due <= Instant::now()
        {
            free.pop();
            connections[index].send(load);
            sent += 1;
        }
        let pause = free.peek().map_or(LONGEST, |Reverse((due, _))| due.saturating_duration_since(Instant::now()));
        assert!(wait(&mut waiting, pause) > 0 || pause < LONGEST, "no answer within {} s", LONGEST.as_secs());
        for index in 0..connections.len() {
            if waiting[index].revents != 0 && connections[index].take(load, &mut seen) {
                sent -= 1;
                if connections[index].due < load.end {
                    free.push(Reverse((connections[index].due, index)));
                }
            }
        }
    }
    seen
}

impl Connection {
    fn open(load: &Load, port: u16, index: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_nonblocking(true).expect("no waiting");
        let due = load.start + load.step.mul_f64(index as f64 / load.connections as f64);
        Self { stream, due, turn: index, answer: Vec::new() }
    }

    fn send(&mut self, load: &Load) {
        let (offer, client) = (&load.offers[self.turn % load.offers.len()], self.turn % load.clients);
        let [_, a, b, c] = u32::try_from(client).expect("a client").to_be_bytes();
        let request = format!(
            "GET /out/{offer} HTTP/1.1\r\nX-Forwarded-For: 10.{a}.{b}.{c}\r\nHost: shop.test\r\nUser-Agent: {AGENT}\r\nAccept: text/html\r\n\r\n"
        );
        // A request is small, and the buffer of a connection that waits for nothing is empty.
        self.stream.write_all(request.as_bytes()).expect("a click");
    }

    /// Reads what is there; whether the answer is whole.
    fn take(&mut self, load: &Load, seen: &mut Seen) -> bool {
        let mut room = [0; 8_192];
        match self.stream.read(&mut room) {
            Ok(0) => panic!("the server hung up"),
            Ok(read) => self.answer.extend_from_slice(&room[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("no answer: {error}"),
        }
        // A redirect has no body.
        if !self.answer.ends_with(b"\r\n\r\n") {
            return false;
        }
        seen.bad += usize::from(!self.answer.starts_with(b"HTTP/1.1 302"));
        seen.micros.push(u32::try_from(self.due.elapsed().as_micros()).unwrap_or(u32::MAX));
        self.answer.clear();
        self.due += load.step;
        self.turn += load.connections;
        true
    }
}

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

const POLLIN: i16 = 1;

unsafe extern "C" {
    fn ppoll(fds: *mut PollFd, count: u64, timeout: *const Timespec, mask: *const c_void) -> i32;
}

/// Waits until something can be read, at most for `pause`. The standard library has no way to wait for many.
fn wait(fds: &mut [PollFd], pause: Duration) -> i32 {
    let timeout = Timespec { seconds: pause.as_secs() as i64, nanos: i64::from(pause.subsec_nanos()) };
    // SAFETY: the pointers are of a live slice with its own length and of a live timeout; no mask is given.
    let ready = unsafe { ppoll(fds.as_mut_ptr(), fds.len() as u64, &timeout, ptr::null()) };
    assert!(ready >= 0, "ppoll failed");
    ready
}
