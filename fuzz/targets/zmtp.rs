//! What a peer sends to a ZeroMQ port: greeting, handshake, frames and what they say. The first byte says how the rest comes in pieces.

#![no_main]

use jobrunner::wire::zmtp::{
    GREETING, PeerCommand, REST, SocketRole, ZmtpFrame, check_ready, check_rest, message, pong, said, take, version,
};
use libfuzzer_sys::fuzz_target;

/// The longest frame that is taken.
const LONGEST: usize = 300;

/// The frames of a stream that comes in pieces of this length, and whether it ended in a mistake.
fn frames(stream: &[u8], piece: usize) -> (Vec<ZmtpFrame>, bool) {
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        buffer.extend_from_slice(bytes);
        loop {
            match take(&mut buffer, LONGEST) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
        // What is not whole yet is a frame at most: its head, and less than its body.
        assert!(buffer.len() < LONGEST + 9);
    }
    (frames, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, stream)) = data.split_first() else { return };
    if let Some(greeting) = stream.first_chunk::<{ GREETING.len() }>() {
        let _ = version(*greeting);
    }
    if let Some(rest) = stream.first_chunk::<REST>() {
        let _ = check_rest(rest);
    }
    let (whole, failed) = frames(stream, stream.len().max(1));
    assert_eq!(frames(stream, usize::from(piece).max(1)), (whole.clone(), failed), "pieces make no difference");
    for frame in &whole {
        assert!(frame.body.len() <= LONGEST);
        assert!(!(frame.more && frame.is_command));
        for role in [SocketRole::Publisher, SocketRole::Subscriber] {
            let _ = check_ready(frame, role);
        }
        if let PeerCommand::Ping(context) = said(frame) {
            assert!(context.len() < frame.body.len());
            let (answer, _) = frames(&pong(context), 1);
            assert!(answer.iter().all(|answer| answer.is_command && answer.body.ends_with(context)));
        }
    }
    // What we say of these frames is heard as it was said.
    let bodies: Vec<&[u8]> = whole.iter().map(|frame| frame.body.as_slice()).collect();
    let (heard, failed) = frames(&message(&bodies), 7);
    assert!(!failed && heard.iter().map(|frame| frame.body.as_slice()).eq(bodies.iter().copied()));
    assert!(heard.iter().rev().skip(1).all(|frame| frame.more) && heard.last().is_none_or(|last| !last.more));
});
