//! A mail provider that takes everything, says so after a while, and costs next to nothing: it reads what a request says
//! about its own length and to whom the mail goes, no more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running provider; its thread ends with the process.
pub(crate) struct Provider {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    /// When mails to addresses that begin with `code` came.
    codes: Mutex<HashMap<String, Instant>>,
}

impl Provider {
    /// Answers after `answer`.
    pub(crate) fn start(answer: Duration) -> Self {
        let seen = Arc::new(Seen::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = seen.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let seen = shared.clone();
                    tokio::spawn(async move { serve(stream, &seen, answer).await });
                }
            });
        });
        Self { url, seen }
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.count.load(Ordering::Relaxed)
    }

    /// Waits until it has seen so many mails.
    pub(crate) async fn seen(&self, mails: usize) {
        testkit::eventually_true("mails come", Duration::from_secs(60), async || self.count() >= mails).await;
    }

    /// When the mail to this receiver came.
    pub(crate) async fn came(&self, to: &str) -> Instant {
        testkit::eventually("the code comes", Duration::from_secs(60), async || {
            self.seen.codes.lock().unwrap().get(to).copied()
        })
        .await
    }
}

async fn serve(mut stream: TcpStream, seen: &Seen, answer: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut buffer: Vec<u8> = Vec::with_capacity(64 * 1024);
    loop {
        let (head, length) = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break (end + 4, length_of(&buffer[..end])?);
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        let came = Instant::now();
        let number = seen.count.fetch_add(1, Ordering::Relaxed);
        if let Some(to) = code_receiver(&buffer[head..head + length]) {
            seen.codes.lock().unwrap().insert(to, came);
        }
        buffer.drain(..head + length);
        if !answer.is_zero() {
            tokio::time::sleep(answer).await;
        }
        let reply = format!("HTTP/1.1 202 Accepted\r\nx-message-id: bench{number:017}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}

fn length_of(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

/// The receiver stands at the very beginning of the body.
fn code_receiver(body: &[u8]) -> Option<String> {
    let begin = std::str::from_utf8(body.get(..120)?).ok()?;
    let (_, rest) = begin.split_once("\"email\":\"")?;
    let (to, _) = rest.split_once('"')?;
    to.starts_with("code").then(|| to.to_owned())
}
