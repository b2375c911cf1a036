//! What can be done to a server at its HTTP port.

use chrono::Utc;
use jobrunner::run::{ApiKey, Secret};
use jobrunner::wire::{hmac, operator, uplink as wire};

use super::peer;
use crate::failure::Failure;
use crate::own::{Own, SECRET, key};

/// How many peers say nothing: more than the server has descriptors.
const SILENT: usize = 1000;
/// How many logs there are to be listed, and how long each is in bytes.
pub const LOGS: (usize, usize) = (8, 30 << 20);

/// Connections on which nothing is said.
pub async fn silence(own: &Own) -> Result<(), Failure> {
    peer::hold(own.http, SILENT, |_| Vec::new(), 0).await
}

/// Heads of requests that do not end.
pub async fn heads(own: &Own) -> Result<(), Failure> {
    peer::hold(own.http, SILENT, |_| b"GET /?q=".to_vec(), 60_000).await
}

/// Forms of 4 MB that do not end, from people who have not logged in.
pub async fn login(own: &Own) -> Result<(), Failure> {
    let http = own.http;
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {http}\r\nOrigin: http://{http}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000000\r\n\r\ntoken="
    );
    peer::hold(http, 100, |_| head.clone().into_bytes(), 3_999_000).await
}

/// Calls of 32 MB in the name of a worker, with a signature that is wrong, the last byte missing.
pub async fn unsigned(own: &Own) -> Result<(), Failure> {
    const BODY: usize = 32 << 20;
    let head = format!(
        "POST /api/v1/run_log/ HTTP/1.1\r\nHost: {}\r\nAuthorization: ApiKey {}:{}\r\n\
         Content-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n",
        own.http,
        key(1),
        "0".repeat(40)
    );
    peer::hold(own.http, 20, |_| head.clone().into_bytes(), BODY - 1).await
}

/// A worker that reads all logs, four times at once, over and over.
pub async fn pages(own: &Own) -> Result<(), Failure> {
    let path = "/api/v1/run_log/?limit=0";
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: {}\r\n\r\n",
        own.http,
        signed("GET", path)?
    );
    let read = || async {
        loop {
            // Who is shut out comes again.
            let _ = peer::ask(own.http, &head).await;
        }
    };
    tokio::join!(read(), read(), read(), read()).0
}

/// Templates that are nested too deeply, four at once, over and over, from somebody with the operator's token.
pub async fn templates(own: &Own) -> Result<(), Failure> {
    const TIMES: usize = 8_000;
    const NESTED: [(&str, &str, &str); 6] = [
        ("not ", "1", ""),
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("", "1", "+1"),
        ("", "content", "|e"),
        ("", "1", " if 1 else 1"),
    ];
    let token = own.token()?;
    let requests: Vec<String> = NESTED
        .iter()
        .map(|(before, middle, after)| {
            let body = format!("#!/bin/sh\n{{{{ {}{middle}{} }}}}\n", before.repeat(TIMES), after.repeat(TIMES));
            let body = serde_json::json!({"title": "deep", "body": body}).to_string();
            format!(
                "POST {}/templates HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                operator::BASE,
                own.http,
                body.len()
            )
        })
        .collect();
    let post = || async {
        loop {
            for request in &requests {
                // Who is shut out comes again.
                let _ = peer::ask(own.http, request).await;
            }
        }
    };
    tokio::join!(post(), post(), post(), post()).0
}

/// A worker that is connected twelve times and sends 20 MB on each connection of a message that does not end.
pub async fn uplink(own: &Own) -> Result<(), Failure> {
    const MESSAGE: u64 = 24 << 20;
    // Binary and masked, with a mask of zeros.
    let frame = [&[0x82, 0xff][..], &MESSAGE.to_be_bytes(), &[0; 4]].concat();
    let head = |peer: usize| {
        let path = format!(
            "/worker?{}",
            wire::query(Utc::now().timestamp(), &format!("{:016x}{peer:016x}", fastrand::u64(..)))
        );
        let authorization = signed("GET", &path).unwrap_or_default();
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nJob-Runner-Uplink: 1\r\n\r\n",
            own.http
        )
        .into_bytes()
    };
    peer::hold(own.http, 12, |peer| [head(peer), frame.clone()].concat(), 20 << 20).await
}

/// The signature of the first worker.
fn signed(method: &str, path: &str) -> Result<String, Failure> {
    let key = ApiKey::parse(&key(1)).map_err(|e| Failure(e.to_owned()))?;
    Ok(hmac::authorization(&key, &Secret::new(SECRET.as_bytes().to_vec()), method, path, &[]))
}
