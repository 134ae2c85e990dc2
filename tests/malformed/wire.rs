//! Requests as bytes, so that they can be wrong in ways that no client would send, and what comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// What does not answer for so long does not answer at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a request.
#[derive(Debug)]
pub(crate) enum End {
    Answer(Answer),
    /// The connection was closed without a word.
    Closed,
    /// Nothing came.
    Silent,
}

#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends the bytes and reads one answer. `is_cut`: nothing follows, and the server is told so.
pub(crate) async fn send(to: SocketAddr, bytes: &[u8], is_cut: bool) -> End {
    tokio::time::timeout(PATIENCE, exchange(to, bytes, is_cut)).await.unwrap_or(End::Silent)
}

async fn exchange(to: SocketAddr, bytes: &[u8], is_cut: bool) -> End {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((next_client(), 0).into()).expect("an address of loopback");
    let mut stream = socket.connect(to).await.expect("the service takes connections");
    let (mut reader, mut writer) = stream.split();
    let write = async {
        // Who refuses a request early reads no more of it.
        let _refused = writer.write_all(bytes).await;
        if is_cut {
            let _gone = writer.shutdown().await;
        }
        std::future::pending::<End>().await
    };
    let read = async {
        let (mut seen, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
        loop {
            let count = reader.read(&mut piece).await.unwrap_or(0);
            seen.extend_from_slice(&piece[..count]);
            if let Some(answer) = parse(&seen, count == 0) {
                return End::Answer(answer);
            }
            if count == 0 {
                return End::Closed;
            }
        }
    };
    let is_head = bytes.starts_with(b"HEAD ");
    tokio::select! {
        end = write => end,
        end = read => match end {
            End::Answer(answer) if is_head => End::Answer(Answer { body: Vec::new(), ..answer }),
            end => end,
        },
    }
}

/// The answer, as soon as it is whole.
fn parse(seen: &[u8], is_end: bool) -> Option<Answer> {
    let end = seen.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&seen[..end]).into_owned();
    let rest = &seen[end + 4..];
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer { status, head, body: rest.to_vec() };
    let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let is_whole = match length {
        Some(length) => rest.len() >= length,
        None => is_stream || rest.ends_with(b"0\r\n\r\n") || matches!(status, 204 | 304),
    };
    (is_whole || is_end).then_some(answer)
}

/// Every connection comes from another address, so that limits by client do not answer in place of what is asked.
fn next_client() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % 0xff_ffff;
    Ipv4Addr::from_bits(0x7f00_0001 + number)
}
