//! A way to Redis on which pushes can be held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::eventually_true;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};

/// Passes on what comes, until it holds: then the connection that pushes next hears nothing more.
pub(crate) struct Way {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    holds: AtomicBool,
    /// The client's end of the connection that is held.
    held: Mutex<Option<tokio::net::tcp::OwnedWriteHalf>>,
    cut: Notify,
}

impl Way {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let state = Arc::<State>::default();
        let shared = state.clone();
        #[expect(clippy::disallowed_methods, reason = "tests have no tracker")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, shared.clone()));
            }
        });
        Self { url, state }
    }

    /// From now on.
    pub(crate) fn hold(&self) {
        self.state.holds.store(true, Ordering::Relaxed);
    }

    /// Answers the first push that was held with an error; others that come on new connections pass.
    pub(crate) async fn refuse(&self) {
        let is_held = async || self.state.held.lock().await.is_some();
        eventually_true("a push is held", Duration::from_secs(10), is_held).await;
        self.state.holds.store(false, Ordering::Relaxed);
        let mut held = self.state.held.lock().await;
        held.as_mut().unwrap().write_all(b"-OOM no room\r\n").await.unwrap();
    }

    /// Ends the connection that is held.
    pub(crate) fn cut(&self) {
        self.state.cut.notify_one();
    }
}

async fn pass(client: TcpStream, port: u16, state: Arc<State>) {
    let redis = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let ((mut from_client, mut to_client), (mut from_redis, mut to_redis)) = (client.into_split(), redis.into_split());
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let is_push = asked[..length].windows(5).any(|word| word == b"RPUSH");
                if is_push && state.holds.load(Ordering::Relaxed) {
                    *state.held.lock().await = Some(to_client);
                    state.cut.notified().await;
                    state.held.lock().await.take();
                    return;
                }
                to_redis.write_all(&asked[..length]).await.unwrap();
            }
            read = from_redis.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if to_client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
