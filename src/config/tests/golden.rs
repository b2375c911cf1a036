//! Comparison with files recorded from a real Python 2.7; see `record.py` beside them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::ini::{Document, LineFault};
use super::super::interpolate::{self, interpolate};
use super::super::keys::{KEYS, Preset, WORKER};
use super::super::value;

const SECTION: &str = WORKER.section;

fn recorded() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ini");
    let entries = fs::read_dir(folder).expect("the recorded files");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a recorded file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ini"))
        .map(|path| {
            let golden = fs::read(path.with_extension("golden")).expect("its answers");
            (path, serde_json::from_slice(&golden).expect("answers in JSON"))
        })
        .collect();
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files
}

/// Renders our parser's result in the form in which Python's results are recorded.
fn ours(text: &str) -> Value {
    let document = Document::parse(text);
    if !document.bad_lines.is_empty() {
        let early = document.bad_lines.iter().any(|bad| bad.fault == LineFault::BeforeSection);
        let class = if early { "MissingSectionHeaderError" } else { "ParsingError" };
        let lines: Vec<_> = document.bad_lines.iter().map(|bad| bad.line).collect();
        return json!({ "error": class, "lines": lines });
    }
    if !document.has_section(SECTION) {
        return json!({ "error": "NoSectionError" });
    }
    let integer = |key: &str| match get(&document, key) {
        Ok(text) => value::whole_number(&text).map_or(json!(["ValueError"]), python_number),
        Err(class) => json!([class]),
    };
    let boolean = |key: &str| match get(&document, key) {
        Ok(text) => value::boolean(&text).map_or(json!(["ValueError"]), Value::Bool),
        Err(class) => json!([class]),
    };
    let names = names(&document);
    let integers = ["concurrent_jobs", "max_log_bytes", "reconnect_after_inactivity"];
    let booleans = ["tls_verify"].into_iter().filter(|key| names.iter().any(|name| name == key));
    let value = |name: &String| match get(&document, name) {
        Ok(text) => json!(text),
        Err(class) => json!([class]),
    };
    json!({
        "values": object(names.iter().map(|name| (name.as_str(), value(name)))),
        "integers": object(integers.into_iter().map(|key| (key, integer(key)))),
        "booleans": object(booleans.map(|key| (key, boolean(key)))),
    })
}

fn object<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(entries.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Converts a number as JSON reads it: beyond 64 bits it becomes a float, on both sides.
fn python_number(number: i128) -> Value {
    serde_json::from_str(&number.to_string()).expect("a number")
}

fn names(document: &Document) -> Vec<String> {
    let originals = KEYS.iter().filter(|key| matches!(key.preset, Preset::Original(_)));
    let mut names: Vec<_> = originals.map(|key| key.name.to_owned()).collect();
    names.extend(document.own_values(SECTION).map(|(name, _)| name.to_owned()));
    names.extend(document.default_names().map(str::to_owned));
    names.retain(|name| name != "__name__");
    names
}

fn get(document: &Document, key: &str) -> Result<String, &'static str> {
    let lookup = |name: &str| document.reference(SECTION, name).or_else(|| WORKER.original_default(name));
    let raw = document.value(SECTION, key).map(|value| value.raw.as_str());
    let raw = raw.or_else(|| WORKER.original_default(key)).ok_or("NoOptionError")?;
    interpolate(raw, lookup).map_err(|fault| match fault {
        interpolate::InterpolationFault::Missing(_) => "InterpolationMissingOptionError",
        interpolate::InterpolationFault::TooDeep => "InterpolationDepthError",
        interpolate::InterpolationFault::NotText => "TypeError",
        interpolate::InterpolationFault::Broken => "ValueError",
        interpolate::InterpolationFault::Dollar => "none: of Python 3 alone",
        interpolate::InterpolationFault::TooLong => "none: Python goes on",
    })
}

#[test]
fn every_recorded_file_reads_as_in_python_2_7() {
    let recorded = recorded();
    assert!(recorded.len() >= 40, "only {} recorded files were found", recorded.len());
    for (path, golden) in recorded {
        let text = fs::read_to_string(&path).expect("text in UTF-8");
        assert_eq!(ours(&text), golden, "{}", path.display());
    }
}
