//! `job_runner worker add`

use url::Url;

use super::args::{Worker, WorkerAdd};
use super::exit::{Failure, OK, print, say};
use super::{find, table};
use crate::wire::operator::{MadeWorker, NewWorker};

#[cfg(test)]
mod tests;

pub async fn run(args: Worker) -> Result<u8, Failure> {
    let Worker::Add(WorkerAdd { name, pool, json, at }) = args;
    let client = find::server(&at)?;
    let made: MadeWorker = client.post(&["workers"], &NewWorker { title: name, pool }).await?;
    if json {
        table::json(&made);
    } else {
        print(&ini(&made, client.base()));
        say(format_args!("worker {} is made; the secret is told this once", made.api_key));
    }
    Ok(OK)
}

/// The file that its machine needs.
fn ini(made: &MadeWorker, server: &Url) -> String {
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
