//! Somebody who watches: a client of the server's events.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::failure::Failure;
use crate::moment::{self, Moment};

/// Hears what happens. Pings are answered as it listens.
pub struct Listener(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Listener {
    pub async fn connect(port: u16) -> Result<Self, Failure> {
        Ok(Self(connect_async(format!("ws://127.0.0.1:{port}/")).await?.0))
    }

    /// Waits until so many runs have returned; returns when the last one did.
    pub async fn returned(&mut self, count: usize, patience: Duration) -> Result<Moment, Failure> {
        Ok(self.started_and_returned(count, patience).await?.1)
    }

    /// Waits until so many runs have returned; returns when the last one was started, and when the last one returned.
    pub async fn started_and_returned(
        &mut self,
        count: usize,
        patience: Duration,
    ) -> Result<(Moment, Moment), Failure> {
        let (mut heard, mut started) = (0, 0);
        let listening = async {
            while heard < count {
                let message = self.0.next().await.ok_or_else(|| Failure("the server is gone".to_owned()))??;
                let Message::Text(text) = message else { continue };
                if text.contains("\"started\"") {
                    started = moment::now();
                }
                heard += usize::from(text.contains("\"returned\""));
            }
            Ok((started, moment::now()))
        };
        let listened = tokio::time::timeout(patience, listening).await;
        listened
            .unwrap_or_else(|_| Err(Failure(format!("{heard} of {count} runs returned in {} s", patience.as_secs()))))
    }
}
