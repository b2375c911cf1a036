//! Where the database is: reads the URL, and says how to connect.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::run::chain_of;

/// Longest wait for a connection to be made and accepted.
pub const CONNECTING: Duration = Duration::from_secs(10);
/// Time without an answer to what was sent, after which the system gives a connection up.
const UNANSWERED: Duration = Duration::from_secs(10);
/// Silence after which the system asks whether the other end is still there, pause between the questions, and their number.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(2), 3);

/// Reasons why a URL names no database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UrlError {
    /// It is no URL of PostgreSQL, or a parameter is wrong.
    #[error("the URL of the database is not understood: {0}")]
    Wrong(String),
    /// The way in which the connection is to be secured is none of those that there are.
    #[error("sslmode {0} in the URL of the database: allowed are disable and verify-full (require means the same)")]
    SslMode(String),
    /// The database or the user is missing.
    #[error("the URL of the database names no {0}: postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Missing(&'static str),
    /// The file with trusted certificates cannot be used.
    #[error("sslrootcert {path} in the URL of the database: {reason}")]
    Roots {
        /// Path of the file.
        path: PathBuf,
        /// Reason, as a phrase.
        reason: String,
    },
}

/// A database, and how to connect to it.
#[derive(Clone)]
pub struct Place {
    /// What the client is told.
    pub config: Config,
    /// File with trusted certificates, in addition to those of the system.
    pub roots: Option<PathBuf>,
    name: Arc<str>,
}

// Never the configuration: it holds the password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Place {
    /// Returns host and database, for messages: never a password.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns whether connections are encrypted, and the server's certificate is checked.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

impl FromStr for Place {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(UrlError::Wrong("it does not begin with postgres://".to_owned()));
        }
        let (rest, mode, roots) = without_tls(url);
        // The client's error says the cause alone, and never what stands in the URL.
        let mut config = Config::from_str(&rest).map_err(|e| UrlError::Wrong(chain_of(&e)))?;
        let encrypted = match mode.as_deref() {
            None => !is_on_this_machine(&config),
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(other) => return Err(UrlError::SslMode(other.to_owned())),
        };
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        let database = config.get_dbname().ok_or(UrlError::Missing("database"))?;
        config.get_user().ok_or(UrlError::Missing("user"))?;
        let name = format!("{}/{database}", hosts(&config)?).into();
        complete(&mut config);
        Ok(Self { config, roots, name })
    }
}

/// Sets what each connection needs, and the URL does not say.
fn complete(config: &mut Config) {
    if config.get_application_name().is_none() {
        config.application_name("job_runner");
    }
    let (idle, interval, retries) = KEEPALIVE;
    config
        .connect_timeout(CONNECTING)
        .tcp_user_timeout(UNANSWERED)
        .keepalives(true)
        .keepalives_idle(idle)
        .keepalives_interval(interval)
        .keepalives_retries(retries)
        // Of several hosts, the one that can be written: after a failover, another than before.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
}

/// Takes what is said of TLS, in PostgreSQL's words, out of the URL: the mode, and the file with trusted certificates.
fn without_tls(url: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let (mut others, mut mode, mut roots) = (Vec::new(), None, None);
    for part in query.split('&') {
        let value = || url::form_urlencoded::parse(part.as_bytes()).next().map(|(_, value)| value.into_owned());
        match part.split_once('=').map_or(part, |(name, _)| name) {
            "sslmode" => mode = value(),
            "sslrootcert" => roots = value().map(PathBuf::from),
            _ => others.push(part),
        }
    }
    let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
    (rest, mode, roots)
}

/// Returns whether the database is reached without a network.
fn is_on_this_machine(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    })
}

fn hosts(config: &Config) -> Result<String, UrlError> {
    let ports = config.get_ports();
    let named = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => Path::display(path).to_string(),
        };
        // One port may stand for all hosts.
        match ports.get(index).or(ports.first()) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() { Err(UrlError::Missing("host")) } else { Ok(named.join(",")) }
}
