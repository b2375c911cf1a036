//! Broadcasts that nobody sane sends: malformed, forged, for others, for runs that are over.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::stage::{API_KEY, Stage};

/// How often something is said, at most.
const PAUSE: Duration = Duration::from_millis(40);

/// Until it is aborted.
pub async fn make(stage: Arc<Stage>, mut rng: Rng) {
    loop {
        tokio::time::sleep(PAUSE.mul_f64(rng.f64() * 2.0)).await;
        let made = stage.server.look(|state| state.runs.len());
        let (name, frames) = message(&mut rng, i64::try_from(made).unwrap_or(0));
        stage.count(format!("broadcast: {name}"));
        stage.server.announce_raw(frames);
    }
}

/// One message. Runs up to `made` are there.
fn message(rng: &mut Rng, made: i64) -> (&'static str, Vec<Vec<u8>>) {
    let topic = format!("master.broadcast.{API_KEY}").into_bytes();
    let to_us = |text: String| vec![topic.clone(), text.into_bytes()];
    let enqueue = |run: &str| to_us(format!(r#"{{"action": "enqueue", "run_id": {run}}}"#));
    let known = 1 + rng.i64(..made.max(1));
    match rng.usize(..14) {
        0 => ("a run again", enqueue(&known.to_string())),
        1 => ("unknown run", enqueue(&(1_000_000 + rng.i64(..1000)).to_string())),
        2 => (
            "forged id",
            enqueue(
                [r#""../kill_request/1""#, r#""1/?x=""#, "-1", "0", "1.5", "null", "true", "18446744073709551616"]
                    [rng.usize(..8)],
            ),
        ),
        3 => ("no JSON", to_us("{".repeat(1 + rng.usize(..50)))),
        4 => ("no object", to_us(["null", "[]", "7", r#""x""#][rng.usize(..4)].to_owned())),
        5 => ("no UTF-8", vec![topic.clone(), (0..rng.usize(..64)).map(|_| rng.u8(..)).collect()]),
        6 => ("one frame", vec![topic.clone()]),
        7 => ("many frames", std::iter::once(topic.clone()).chain((0..rng.usize(2..40)).map(|_| vec![b'x'])).collect()),
        8 => (
            "longer topic",
            vec![[&topic[..], b"0"].concat(), format!(r#"{{"action": "enqueue", "run_id": {known}}}"#).into_bytes()],
        ),
        9 => ("unknown action", to_us(format!(r#"{{"action": "Enqueue", "run_id": {known}}}"#))),
        10 => (
            "unknown kill",
            to_us(format!(r#"{{"action": "kill", "kill_request_id": {}}}"#, 1_000_000 + rng.i64(..1000))),
        ),
        11 => ("a kill again", to_us(format!(r#"{{"action": "kill", "kill_request_id": {}}}"#, 1 + rng.i64(..20)))),
        12 => ("ping", to_us(r#"{"action": "ping"}"#.to_owned())),
        _ => ("deep nesting", to_us("[".repeat(10_000))),
    }
}
