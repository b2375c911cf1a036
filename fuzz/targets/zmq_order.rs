//! Broadcast messages as a worker hears them, and topics as the broadcaster hears them in subscriptions.
//!
//! Frames are separated by a zero byte.

#![no_main]

use jobrunner::wire::broadcast::{key_of, object, order, shown, text, topic};
use libfuzzer_sys::fuzz_target;

/// How long a message is in a log line at most: every byte escaped, and the sign that something is missing.
const SHOWN: usize = 200 * 4 + '…'.len_utf8();

fuzz_target!(|data: &[u8]| {
    let frames: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    for content in &frames {
        let line = shown(content);
        assert!(line.len() <= SHOWN && !line.chars().any(char::is_control));
        if let Ok(read) = object(content) {
            assert_eq!(object(text(read).as_bytes()), Ok(read));
        }
    }
    if let Some(key) = key_of(frames[0]) {
        let ours = topic(&key);
        assert_eq!(ours.as_bytes(), frames[0]);
        if let Ok(read) = order(&frames, &ours) {
            assert_eq!(object(frames[1]), Ok(read));
        }
    }
});
