//! Choice of the server that a command talks to, and of the token for it.
//!
//! The command line takes precedence over the environment. A token goes only to the server it belongs to: the one in a
//! data directory to the server that works there, the one of the environment to the server of the environment.

use std::io;
use std::path::{Path, PathBuf};

use url::Url;

use super::args::{DATA, ServerArgs};
use super::client::OperatorClient;
use super::exit::{CANNOT_CREATE, CommandFailure, NO_PERMISSION, UNAVAILABLE, USAGE};
use crate::server::data;
use crate::server::identity::token::{self, OperatorToken};
use crate::upstream::is_loopback;

#[cfg(test)]
mod tests;

/// Variables that name a server, if they are set and not empty.
#[derive(Clone, Debug, Default)]
struct Environment {
    server: Option<String>,
    token_file: Option<PathBuf>,
    plain_http: bool,
}

impl Environment {
    fn of_process() -> Self {
        let text = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        // The words of `getboolean` in the configuration, without folding case.
        let is_yes = |value: &str| matches!(value, "1" | "yes" | "true" | "on");
        Self {
            server: text("JOB_RUNNER_SERVER").map(|server| server.to_string_lossy().into_owned()),
            token_file: text("JOB_RUNNER_TOKEN_FILE").map(PathBuf::from),
            plain_http: text("JOB_RUNNER_PLAIN_HTTP")
                .and_then(|value| value.into_string().ok())
                .is_some_and(|v| is_yes(&v)),
        }
    }
}

/// Server that a command is meant for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// The server at an address, which was given by this option or variable.
    Named { address: String, by: &'static str },
    /// The server that works in a data directory.
    InDirectory(PathBuf),
}

/// Returns a client for the server that the command line or the environment names, or that works in the data directory;
/// `None` if none works there.
pub fn configured(at: &ServerArgs) -> Result<Option<OperatorClient>, CommandFailure> {
    let environment = Environment::of_process();
    match target(at, &environment) {
        Target::Named { address, by } => at_address(&address, by, at, &environment).map(Some),
        Target::InDirectory(data) => in_directory(&data, at),
    }
}

/// Returns a client for the server of a command, which must exist.
pub fn server(at: &ServerArgs) -> Result<OperatorClient, CommandFailure> {
    configured(at)?.ok_or_else(|| {
        let data = directory(at).display();
        let what =
            format!("no server works in {data}: start one with `job_runner standalone`, or name one with --server");
        CommandFailure::new(UNAVAILABLE, what)
    })
}

fn target(at: &ServerArgs, environment: &Environment) -> Target {
    let named = |address: &String, by| Target::Named { address: address.clone(), by };
    match (at.server.as_ref().filter(|server| !server.is_empty()), &at.data, &environment.server) {
        // In order of precedence: both options before the environment, and the default directory last.
        (Some(server), _, _) => named(server, "--server"),
        (None, Some(data), _) => Target::InDirectory(data.clone()),
        (None, None, Some(server)) => named(server, "JOB_RUNNER_SERVER"),
        (None, None, None) => Target::InDirectory(PathBuf::from(DATA)),
    }
}

fn directory(at: &ServerArgs) -> &Path {
    at.data.as_deref().unwrap_or(Path::new(DATA))
}

fn in_directory(data: &Path, at: &ServerArgs) -> Result<Option<OperatorClient>, CommandFailure> {
    let Some(url) = url_at_work(data)? else { return Ok(None) };
    let own = data.join(token::FILE);
    // The token of the environment is not considered here: it belongs to the server of the environment.
    OperatorClient::new(url, read(at.token_file.as_deref().unwrap_or(&own))?).map(Some)
}

/// Returns the address of the server that works in a directory; `None` if none does.
fn url_at_work(data: &Path) -> Result<Option<Url>, CommandFailure> {
    let unreadable = |e: io::Error| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", data.display()));
    let Some(http) = data::at_work(data).map_err(unreadable)? else { return Ok(None) };
    let url = format!("http://{http}/");
    Url::parse(&url).map(Some).map_err(|e| CommandFailure::new(UNAVAILABLE, format!("{url}: {e}")))
}

fn at_address(
    address: &str,
    by: &str,
    at: &ServerArgs,
    environment: &Environment,
) -> Result<OperatorClient, CommandFailure> {
    let url = parse(address).map_err(|what| CommandFailure::new(USAGE, format!("{by}: {what}")))?;
    let Some(file) = token_file(&url, at, environment)? else {
        let what = format!("the operator's token for {url} is needed: give --token-file or set JOB_RUNNER_TOKEN_FILE");
        return Err(CommandFailure::new(NO_PERMISSION, what));
    };
    // Anyone who reads the token on the way can run scripts on every worker.
    if url.scheme() == "http" && !is_loopback(&url) && !at.plain_http && !environment.plain_http {
        let what = format!(
            "the token would go to {url} unencrypted: use https://, or --plain-http (JOB_RUNNER_PLAIN_HTTP=yes) in a \
             network you trust"
        );
        return Err(CommandFailure::new(NO_PERMISSION, what));
    }
    OperatorClient::new(url, read(&file)?)
}

/// Parses the address of a server. The message does not repeat the address, which may contain a password.
fn parse(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|e| format!("{e}; allowed is http:// or https:// and a host"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("the URL is not http:// or https:// and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password in the URL is not used; name the token with --token-file".to_owned());
    }
    Ok(url)
}

/// Returns the file with the token that belongs to the server at this address; `None` if there is none.
fn token_file(url: &Url, at: &ServerArgs, environment: &Environment) -> Result<Option<PathBuf>, CommandFailure> {
    if at.token_file.is_some() {
        return Ok(at.token_file.clone());
    }
    let is_meant =
        // A token of the environment without a server of the environment is meant for any that is named.
        environment.server.as_deref().is_none_or(|server| Url::parse(server).is_ok_and(|other| other == *url));
    if let Some(file) = environment.token_file.clone().filter(|_| is_meant) {
        return Ok(Some(file));
    }
    let data = directory(at);
    // The last resort: `--server` may name the very server that works in the data directory.
    let works_there = url_at_work(data)?.is_some_and(|own| is_same_server(&own, url));
    Ok(works_there.then(|| data.join(token::FILE)))
}

/// Returns whether an address is that of this machine's server at `own`, by its name or another one of the loopback.
fn is_same_server(own: &Url, url: &Url) -> bool {
    let is_it = own.host() == url.host() || (is_loopback(own) && is_loopback(url));
    is_it && own.scheme() == url.scheme() && own.port_or_known_default() == url.port_or_known_default()
}

fn read(file: &Path) -> Result<OperatorToken, CommandFailure> {
    OperatorToken::read(file)
        .map_err(|e| CommandFailure::new(NO_PERMISSION, format!("the token {}: {e}", file.display())))
}
