//! As much of HTTP/1.1 as workers speak: kept connections, bodies with a length, one request after another.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::resources::{self, Reply};
use super::{API_KEY, Shared};

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 64 << 20;
/// The most headers that a request may have.
const MAX_HEADERS: usize = 64;

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// With the query.
    pub path: &'a str,
    /// Key and signature.
    authorization: Option<(&'a str, &'a str)>,
    pub body: &'a [u8],
    closes: bool,
}

/// Accepts connections for as long as it is not aborted.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        // A connection that breaks is its client's affair.
        tokio::spawn(async move { converse(stream, &shared).await });
    }
}

/// Answers one request after another.
async fn converse(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(4096);
    let mut answer = Vec::with_capacity(4096);
    loop {
        let length = match whole(&read) {
            Some(length) => length,
            None if read.len() > MAX_REQUEST => return Ok(()),
            None => match stream.read_buf(&mut read).await? {
                0 => return Ok(()),
                _ => continue,
            },
        };
        let _turn = match &shared.slowness {
            Some((a_call, at_once)) => {
                let turn = at_once.acquire().await;
                tokio::time::sleep(*a_call).await;
                Some(turn)
            }
            None => None,
        };
        let Some(request) = parse(&read[..length]) else { return Ok(()) };
        let closes = request.closes;
        answer.clear();
        write(&mut answer, &reply(shared, &request))?;
        stream.write_all(&answer).await?;
        if closes {
            return Ok(());
        }
        read.drain(..length);
    }
}

fn reply(shared: &Shared, request: &Request) -> Reply {
    let signed = request.authorization.is_some_and(|(key, signature)| {
        let parts = [request.method.as_bytes(), request.path.as_bytes(), request.body];
        key == API_KEY && shared.signer.has_signed(parts, signature)
    });
    shared.ledger().change(|ledger| {
        ledger.counts.calls += 1;
        if !signed {
            ledger.counts.unsigned += 1;
            return Reply::bare(401);
        }
        let reply = resources::answer(ledger, request);
        ledger.counts.refused += usize::from(reply.status >= 400);
        reply
    })
}

fn write(to: &mut Vec<u8>, reply: &Reply) -> io::Result<()> {
    let kind = if reply.body.is_empty() { "text/html; charset=utf-8" } else { "application/json" };
    let (status, length) = (reply.status, reply.body.len());
    write!(to, "HTTP/1.1 {status} Answer\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n")?;
    if let Some(location) = &reply.location {
        write!(to, "Location: {location}\r\n")?;
    }
    to.extend_from_slice(b"\r\n");
    to.extend_from_slice(&reply.body);
    Ok(())
}

/// How long the first request is, when all of it is there.
fn whole(read: &[u8]) -> Option<usize> {
    let head = head_length(read)?;
    let length = header(&read[..head], "content-length").and_then(|length| length.parse::<usize>().ok());
    let all = head + length.unwrap_or(0);
    (read.len() >= all).then_some(all)
}

fn head_length(read: &[u8]) -> Option<usize> {
    read.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let lines = std::str::from_utf8(head).ok()?.split("\r\n").skip(1).take(MAX_HEADERS);
    let mut headers = lines.filter_map(|line| line.split_once(':'));
    headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn parse(whole: &[u8]) -> Option<Request<'_>> {
    let (head, body) = whole.split_at(head_length(whole)?);
    let line = std::str::from_utf8(head).ok()?.split("\r\n").next()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let authorization = header(head, "authorization").and_then(|value| value.strip_prefix("ApiKey ")?.split_once(':'));
    let closes = header(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Some(Request { method, path, authorization, body, closes })
}
