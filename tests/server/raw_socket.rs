//! A WebSocket client that does only what it is told, good or bad.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a client asks for that wants a WebSocket.
pub const UPGRADE: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

pub struct RawSocket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer's head.
pub struct Head {
    pub status: u16,
    pub text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Close(u16),
    /// The connection is gone.
    Gone,
}

impl RawSocket {
    /// Sends a request and reads the head of the answer.
    pub async fn ask(to: SocketAddr, request: &str, lines: &[&str]) -> (Head, Self) {
        let mut stream = TcpStream::connect(to).await.expect("a connection");
        let mut head = format!("{request} HTTP/1.1\r\nHost: {to}\r\n");
        lines.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.expect("a request");
        let mut this = Self { stream, buffer: Vec::new() };
        let text = loop {
            if let Some(end) = this.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = this.buffer.drain(..end + 4).collect();
                break String::from_utf8(head).expect("a head is ASCII").to_ascii_lowercase();
            }
            assert!(this.read().await, "an answer");
        };
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (Head { status, text }, this)
    }

    /// A WebSocket at a path, with more header lines.
    pub async fn open(to: SocketAddr, path: &str, lines: &[&str]) -> Self {
        let (head, socket) = Self::ask(to, &format!("GET {path}"), &[UPGRADE, lines].concat()).await;
        assert_eq!(head.status, 101, "{}", head.text);
        socket
    }

    /// Waits until the connection is closed, whatever comes before.
    pub async fn until_closed(&mut self) {
        while self.read().await {}
    }

    async fn read(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        read.expect("something to read").unwrap_or(0) > 0
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.parse() {
                return frame;
            }
            if !self.read().await {
                return Frame::Gone;
            }
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let (first, second) = (*self.buffer.first()?, *self.buffer.get(1)?);
        assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "a server sends whole frames, unmasked");
        let (from, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes([*self.buffer.get(2)?, *self.buffer.get(3)?]))),
            127 => panic!("no message of a feed is so long"),
            short => (2, usize::from(short)),
        };
        if self.buffer.len() < from + length {
            return None;
        }
        let payload: Vec<u8> = self.buffer.drain(..from + length).skip(from).collect();
        Some(match first & 0x0f {
            1 => Frame::Text(String::from_utf8(payload).expect("UTF-8")),
            2 => Frame::Binary(payload),
            8 => Frame::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
            9 => Frame::Ping,
            code => panic!("an unexpected frame {code}"),
        })
    }

    /// The next text; pings are left alone.
    pub async fn text(&mut self) -> String {
        loop {
            match self.frame().await {
                Frame::Text(text) => return text,
                Frame::Ping => {}
                other => panic!("a text was expected, not {other:?}"),
            }
        }
    }

    /// With which code it is closed, whatever comes before.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.frame().await {
                Frame::Close(code) => return Some(code),
                Frame::Gone => return None,
                Frame::Text(_) | Frame::Binary(_) | Frame::Ping => {}
            }
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("what is sent is taken");
    }
}

/// A masked frame: its first byte, and what is in it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    // A mask of zeros leaves it as it is.
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
