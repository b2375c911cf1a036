//! Events as the server hears them. Frames are separated by a zero byte.

#![no_main]

use jobrunner::wire::event::{TOPIC, object, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let frames: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    let _ = read(&frames);
    for content in frames {
        if let Ok(event) = read(&[TOPIC.as_bytes(), content]) {
            assert_eq!(read(&[TOPIC.as_bytes(), object(event).as_bytes()]), Ok(event));
        }
    }
});
