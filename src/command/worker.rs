//! `job_runner worker add`

use super::args::{Worker, WorkerAdd};
use super::exit::{Failure, OK, print, say};
use super::{find, table};
use crate::server::enrol;
use crate::wire::operator::{MadeWorker, NewWorker};

pub async fn run(args: Worker) -> Result<u8, Failure> {
    let Worker::Add(WorkerAdd { name, pool, json, at }) = args;
    let client = find::server(&at)?;
    let made: MadeWorker = client.post(&["workers"], &NewWorker { title: name, pool }).await?;
    if json {
        table::json(&made);
    } else {
        print(&enrol::ini(&made, client.base()));
        say(format_args!("worker {} is made; the secret is told this once", made.api_key));
    }
    Ok(OK)
}
