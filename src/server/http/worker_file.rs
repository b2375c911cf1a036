//! Configuration file of a new worker: the INI text that its machine needs. The secret is shown in it once and never
//! again. Pure.

use std::net::SocketAddr;

use url::Url;

use crate::wire::operator::MadeWorker;

#[cfg(test)]
mod tests;

/// Base URL of a server that is reached at its own HTTP address, without a proxy.
///
/// # Panics
/// Never: a socket address is always a valid host and port of a URL.
#[must_use]
pub fn plain_url(http: SocketAddr) -> Url {
    Url::parse(&format!("http://{http}/")).expect("an address makes a URL")
}

/// Renders the INI file of a new worker for a server that is reached under the URL `server`. The ZeroMQ ports are
/// assumed to be on the same host.
#[must_use]
pub fn ini(made: &MadeWorker, server: &Url) -> String {
    let host = server.host_str().unwrap_or_default();
    let mut server = server.clone();
    // A path is left out: the worker signs the paths of the API as the server sees them, so that no proxy may put the
    // API below another path.
    server.set_path("/");
    format!(
        "# The worker {key} of {server}: job_runner_worker --config-path THIS_FILE\n\
         [job_runner_worker]\n\
         api_base_url = {server}\n\
         api_key = {key}\n\
         secret = {secret}\n\
         ws_server_hostname = {host}\n\
         ws_server_port = {events}\n\
         broadcaster_server_hostname = {host}\n\
         broadcaster_server_port = {broadcaster}\n",
        key = ini_text(&made.api_key),
        secret = made.secret,
        events = made.events_port,
        broadcaster = made.broadcaster_port,
    )
}

/// Doubles the percent signs of a value with `%(` in it, which the parser of the file would otherwise take for a
/// reference to another key.
fn ini_text(text: &str) -> String {
    if text.contains("%(") { text.replace('%', "%%") } else { text.to_owned() }
}
