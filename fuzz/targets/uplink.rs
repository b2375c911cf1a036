//! Frames of the uplink in both directions, and the query of its upgrade.

#![no_main]

use jobrunner::wire::resources::{JobResource, RunResource, from_json, run_id_of};
use jobrunner::wire::uplink::bundle::{Bundle, MAX_BUNDLE, unbundled};
use jobrunner::wire::uplink::{CallHead, MAX_HEAD, MAX_UP, ServerFrame, asked, message, parts, query, said};
use jobrunner::wire::{action, broadcast};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(messages) = unbundled(data) {
        assert!((1..=MAX_BUNDLE).contains(&messages.len()));
        assert!(messages.iter().map(|message| message.len()).sum::<usize>() <= data.len());
        let mut again = Bundle::of(messages[0].to_vec(), MAX_UP.max(data.len() + MAX_HEAD));
        for message in &messages[1..] {
            assert!(again.has_room(message.len()));
            again.push(message.to_vec());
        }
        assert_eq!(unbundled(&again.encode()), Ok(messages));
    }
    let (head, body) = parts(data);
    assert!(head.len() + body.len() <= data.len());
    if let Ok(call) = serde_json::from_slice::<CallHead>(head) {
        let _ = run_id_of(&call.path);
        let again = message(&call, body);
        let (again_head, again_body) = parts(&again);
        // A head is bounded where it is read, so one that grew when it was escaped is not found again.
        if again_head.len() < MAX_HEAD {
            assert_eq!(serde_json::from_slice::<CallHead>(again_head).ok(), Some(call));
            assert_eq!(again_body, body);
        }
    }
    match said(data) {
        Ok(ServerFrame::Answer(answer, _)) => {
            let _ = answer.request.as_deref().and_then(action::read);
        }
        Ok(ServerFrame::Order(order)) => assert_eq!(broadcast::object(broadcast::text(order).as_bytes()), Ok(order)),
        Ok(ServerFrame::Due(_, due)) => {
            assert_eq!(due.run.len() + due.job.len(), body.len());
            if let Ok(run) = from_json::<RunResource>(due.run) {
                let _ = run.seen("/api/v1/worker/1/", chrono::DateTime::UNIX_EPOCH);
            }
            let _ = from_json::<JobResource>(due.job);
        }
        Err(_) => {}
    }
    if let Some((ts, nonce)) = str::from_utf8(data).ok().and_then(asked) {
        assert_eq!(asked(&query(ts, nonce)), Some((ts, nonce)));
    }
});
