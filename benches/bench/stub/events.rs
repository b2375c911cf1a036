//! The socket that takes the worker's events.

use std::sync::Arc;
use std::thread;

use serde::Deserialize;

use super::Shared;
use crate::failure::Failure;
use crate::moment;

/// Where the taker is told to stop.
const STOP: &str = "inproc://stop";

/// What an event says of a run. Those of kill requests are of no interest here.
#[derive(Deserialize)]
struct OfRun<'a> {
    event: &'a str,
    run_id: usize,
}

/// Takes events on a thread of its own until it is dropped.
pub struct Taker(zmq::Socket);

impl Taker {
    pub fn start(context: &zmq::Context, socket: zmq::Socket, shared: Arc<Shared>) -> Result<Self, Failure> {
        let (stop, told) = (context.socket(zmq::PAIR)?, context.socket(zmq::PAIR)?);
        told.bind(STOP)?;
        stop.connect(STOP)?;
        thread::Builder::new().name("events".to_owned()).spawn(move || take(&socket, &told, &shared))?;
        Ok(Self(stop))
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        // Who does not hear it is gone.
        let _ = self.0.send("", zmq::DONTWAIT);
    }
}

fn take(socket: &zmq::Socket, stop: &zmq::Socket, shared: &Shared) {
    let mut awaited = [socket.as_poll_item(zmq::POLLIN), stop.as_poll_item(zmq::POLLIN)];
    loop {
        match zmq::poll(&mut awaited, -1) {
            Ok(_) if awaited[1].is_readable() => return,
            // A child of ours has ended.
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(_) => return,
        }
        while let Ok(frames) = socket.recv_multipart(zmq::DONTWAIT) {
            note(shared, &frames);
        }
    }
}

fn note(shared: &Shared, frames: &[Vec<u8>]) {
    let [_, body] = frames else { return };
    let Ok(event) = serde_json::from_slice::<OfRun>(body) else { return };
    let at = moment::now();
    shared.ledger().change(|ledger| {
        let Some(run) = event.run_id.checked_sub(1).and_then(|run| ledger.runs.get_mut(run)) else { return };
        match event.event {
            "enqueued" => run.heard_enqueued = at,
            "started" => run.heard_started = at,
            "returned" => {
                run.heard_returned = at;
                ledger.counts.heard += 1;
            }
            _ => {}
        }
    });
}
