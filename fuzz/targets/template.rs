//! Templates: one is rendered or refused, in bounded time and memory; text without tags stays as it is.
//!
//! Two characters that are none are kept for the engine and refused. A zero byte separates the template from the script that is put into it.

#![no_main]

use jobrunner::server::domain::script::render;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else { return Corpus::Reject };
    let (body, content) = text.split_once('\0').unwrap_or((text, "#!/bin/sh\n"));
    let rendered = render(body, content);
    if !["{{", "{%", "{#", "\u{FDD0}", "\u{FDD1}"].iter().any(|tag| body.contains(tag)) {
        assert_eq!(rendered.as_deref(), Ok(body));
    }
    Corpus::Keep
});
