//! Which server is meant, and how it is spoken to.

use std::io;
use std::path::Path;

use url::Url;

use super::args::At;
use super::client::Client;
use super::exit::{CANNOT_CREATE, Failure, NO_PERMISSION, UNAVAILABLE};
use crate::server::data;
use crate::server::token::{self, OperatorToken};

/// The server that the command line or the environment names, or that works in the data directory; nothing if there
/// is none.
pub fn configured(at: &At) -> Result<Option<Client>, Failure> {
    if let Some(server) = at.server.as_deref().filter(|server| !server.is_empty()) {
        return named(server, at).map(Some);
    }
    let unreadable = |e: io::Error| Failure::new(CANNOT_CREATE, format!("{}: {e}", at.data.display()));
    let Some(http) = data::at_work(&at.data).map_err(unreadable)? else { return Ok(None) };
    let url = format!("http://{http}/");
    let url = Url::parse(&url).map_err(|e| Failure::new(UNAVAILABLE, format!("{url}: {e}")))?;
    Client::new(url, read(&at.data.join(token::FILE))?).map(Some)
}

/// The server that is meant; there must be one.
pub fn server(at: &At) -> Result<Client, Failure> {
    configured(at)?.ok_or_else(|| {
        let data = at.data.display();
        let what =
            format!("no server works in {data}: start one with `job_runner standalone`, or name one with --server");
        Failure::new(UNAVAILABLE, what)
    })
}

fn named(server: &str, at: &At) -> Result<Client, Failure> {
    let wrong =
        |what: &str| Failure::new(2, format!("--server {server}: {what}; allowed is http:// or https:// and a host"));
    let url = Url::parse(server).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("is no such URL"));
    }
    let own = at.data.join(token::FILE);
    let file = match &at.token_file {
        Some(file) => file,
        None if own.exists() => &own,
        None => {
            let what = "the operator's token is needed: give --token-file or set JOB_RUNNER_TOKEN_FILE";
            return Err(Failure::new(NO_PERMISSION, what));
        }
    };
    Client::new(url, read(file)?)
}

fn read(file: &Path) -> Result<OperatorToken, Failure> {
    OperatorToken::read(file).map_err(|e| Failure::new(NO_PERMISSION, format!("the token {}: {e}", file.display())))
}
