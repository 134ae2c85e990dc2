//! `LISTEN` on a connection of its own.

use futures_util::stream::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::StoreError;

/// What a `NOTIFY` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The channel.
    pub channel: String,
    /// The payload; empty when there was none.
    pub payload: String,
}

/// Notifications of the channels listened to. The connection ends with this value.
pub struct Listener {
    receiver: mpsc::Receiver<Notification>,
    _connection: tokio_postgres::Client,
}

impl Listener {
    /// The next notification; `None` when the connection broke: the caller then takes a full look and
    /// listens again.
    pub async fn next(&mut self) -> Option<Notification> {
        self.receiver.recv().await
    }
}

/// See [`super::Pool::listen`].
pub(super) async fn listen(
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    channels: &[&str],
) -> Result<Listener, StoreError> {
    let (client, mut connection) = config.connect(tls).await?;
    let (sender, receiver) = mpsc::channel(1_024);
    let statements: Vec<_> =
        channels.iter().map(|channel| format!("LISTEN \"{}\"", channel.replace('"', ""))).collect();
    #[expect(
        clippy::disallowed_methods,
        reason = "the task ends with the receiver, which its owner holds; there is nothing to drain"
    )]
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        let drive = async {
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    let heard = Notification {
                        channel: notification.channel().to_owned(),
                        payload: notification.payload().to_owned(),
                    };
                    // A reader that is 1,024 behind is told by the end of the connection: it looks at everything anew.
                    if sender.try_send(heard).is_err() {
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = drive => {}
            () = sender.closed() => {}
        }
    });
    client.batch_execute(&statements.join("; ")).await?;
    Ok(Listener { receiver, _connection: client })
}
