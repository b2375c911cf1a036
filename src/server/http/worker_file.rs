//! A new worker gets the file that its machine needs: told once, with the secret in it. Pure.

use std::net::SocketAddr;

use url::Url;

use crate::wire::operator::MadeWorker;

#[cfg(test)]
mod tests;

/// Where a server is that is reached directly.
///
/// # Panics
/// Never: an address makes a URL.
#[must_use]
pub fn plain_url(http: SocketAddr) -> Url {
    Url::parse(&format!("http://{http}/")).expect("an address makes a URL")
}

/// The file that its machine needs, for a server that is reached there.
#[must_use]
pub fn ini(made: &MadeWorker, server: &Url) -> String {
    let host = server.host_str().unwrap_or_default();
    let mut server = server.clone();
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

/// A value that the rules of the file would take for something else is written so that they do not.
fn ini_text(text: &str) -> String {
    if text.contains("%(") { text.replace('%', "%%") } else { text.to_owned() }
}
