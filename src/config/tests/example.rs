//! Tests that the example file, which documents the keys, agrees with the table of keys.

use std::collections::BTreeMap;

use super::super::Origin;
use super::super::keys::{KEYS, Preset};
use super::{Case, assert_mentions};

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/job_runner_worker.ini.example"));

/// Returns the keys of the example, whether set or commented out, with their values.
fn shown() -> BTreeMap<&'static str, &'static str> {
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix(';').unwrap_or(line));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

#[test]
fn the_example_shows_exactly_the_known_keys() {
    let shown: Vec<_> = shown().into_keys().collect();
    let mut known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    known.sort_unstable();
    assert_eq!(shown, known);
}

#[test]
fn the_example_shows_the_defaults() {
    let shown = shown();
    for key in KEYS {
        if let Some(default) = key.preset.text() {
            assert_eq!(shown[key.name], default, "{}", key.name);
        }
    }
}

#[test]
fn the_example_can_be_loaded_as_it_is() {
    let case = Case::new();
    let loaded = case.load(EXAMPLE).expect("an example without mistakes");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    for entry in loaded.effective {
        let required = KEYS.iter().any(|key| key.name == entry.key && matches!(key.preset, Preset::Required));
        assert_eq!(required, entry.origin != Origin::Default, "{}", entry.key);
    }
}

#[test]
fn the_example_can_be_loaded_with_every_key_set() {
    let uncommented = EXAMPLE.lines().map(|line| line.strip_prefix(';').unwrap_or(line));
    let text: String = uncommented.map(|line| format!("{line}\n")).collect();
    let loaded = Case::new().load(text).expect("an example without mistakes");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let origins: Vec<_> = loaded.effective.iter().map(|entry| entry.origin.to_string()).collect();
    assert!(!origins.contains(&"default".to_owned()));
    assert_mentions(&origins, &["worker.ini:"]);
}
