//! Property tests: any file, however malformed, gives either settings or mistakes.

use proptest::prelude::*;

use super::super::ini::Document;
use super::super::interpolate::interpolate;
use super::super::keys::WORKER;
use super::super::spelling::suggestion;
use super::super::{address, file, value, worker};
use super::{Case, REQUIRED};

/// Generates lines from the characters that the parser treats specially.
fn ini_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[job_runner_worker]\n".to_owned()),
        Just("[DEFAULT]\n".to_owned()),
        "[ \t]{0,2}[a-cA-C%();#=: \"\\[\\]ré]{0,12}[\r]{0,1}\n",
        "(api_key|secret|linger|ws_url|a) ?[=:] ?[%()a-c;# ]{0,12}(%\\([ab]\\)s)?\n",
        "\\PC{0,20}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![ini_text(), ".*"]) {
        let document = Document::parse(&text);
        for (_, value) in document.own_values(WORKER.section) {
            let _ = interpolate(&value.raw, |name| document.reference(WORKER.section, name));
        }
        let lines = text.split('\n').count();
        prop_assert!(document.bad_lines.iter().all(|bad| (1..=lines).contains(&bad.line)));
    }

    #[test]
    fn any_bytes_are_text_or_an_offset(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = file::text(&bytes) {
            prop_assert!(error.line() >= 1);
        }
    }

    #[test]
    fn a_value_without_reference_is_literal(raw in "[^(]*") {
        prop_assert_eq!(interpolate(&raw, |_| None), Ok(raw));
    }

    #[test]
    fn any_value_is_parsed_or_refused(text in "\\PC*") {
        let base = url::Url::parse("https://server/").expect("a URL");
        let _ = address::host(&text);
        let _ = address::base_url(&text);
        let _ = address::socket_url(&text);
        let _ = address::resource(&text, &base);
        let _ = value::seconds(&text, 0.0..=1e9);
        let _ = value::integer::<u16>(&text, 1..=65535);
        let _ = suggestion(&text, ["secret"].into_iter());
    }

    #[test]
    fn a_resource_always_begins_and_ends_with_a_slash(text in "[a-z/.]{1,20}") {
        let base = url::Url::parse("https://server/below/").expect("a URL");
        if let Ok(path) = address::resource(&text, &base) {
            prop_assert!(path.starts_with('/') && path.ends_with('/'));
        }
    }

    #[test]
    fn every_key_has_one_safe_directory_of_its_own(one in "[./%2FE]{1,6}", other in "[./%2FE]{1,6}") {
        let name = worker::directory_name(&one);
        prop_assert!(!name.contains('/') && !name.starts_with('.'));
        prop_assert_eq!(one == other, name == worker::directory_name(&other));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_is_one_line_without_the_secret(text in ini_text()) {
        let secret = "s3cr3t-s3cr3t";
        let content = format!("{}{text}", REQUIRED.replace("verysecret", secret));
        let case = Case::new();
        let (lines, shown) = match case.load(content) {
            Ok(loaded) => {
                let shown = loaded.effective.iter().map(ToString::to_string).collect();
                (loaded.warnings, shown)
            }
            Err(failure) => (failure.warnings, failure.mistakes),
        };
        for line in lines.iter().chain(&shown) {
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            prop_assert!(!line.contains(secret), "{line:?}");
        }
    }
}
