//! Warnings about text in the configuration file that is legal but may not mean what its author intended.

use std::collections::BTreeSet;

use super::findings::{Findings, Origin};
use super::ini::{Dialect, Oddity, RawValue};
use super::layers::Layers;
use super::spelling;

/// Adds a warning for every suspicious construct in the file.
pub fn warn(layers: &Layers<'_>, findings: &mut Findings) {
    for oddity in &layers.document.oddities {
        let (line, name, what) = match oddity {
            Oddity::DuplicateKey { key, first, line } => {
                (*line, key.clone(), format!("is set in line {first} too; this line takes effect"))
            }
            Oddity::DuplicateSection { section, line } => {
                (*line, format!("[{section}]"), "appears twice; both are read as one".to_owned())
            }
        };
        findings.warning(&layers.origin(line), &name, what);
    }
    for key in layers.program.keys {
        if let Some(value) = layers.document.value(layers.program.section, key.name) {
            let warn = match layers.program.dialect {
                Dialect::Python2 => warn_of_value,
                Dialect::Python3 => warn_of_python3_value,
            };
            warn(key.name, value, &layers.origin(value.line), findings);
        }
    }
    warn_of_unknown(layers, findings);
}

fn warn_of_value(key: &str, value: &RawValue, origin: &Origin, findings: &mut Findings) {
    let raw = value.raw.as_str();
    let spaced = |sign: char| {
        let mut pairs = raw.chars().zip(raw.chars().skip(1));
        pairs.any(|(before, c)| before.is_ascii_whitespace() && c == sign)
    };
    if spaced('#') {
        findings.warning(origin, key, "has a ` #` in it, which is part of the value, no comment");
    }
    if spaced(';') {
        findings.warning(origin, key, "has a ` ;` in it that starts no comment, as it is not the first `;`");
    }
    if key == "secret" && value.comment_cut {
        findings.warning(origin, key, "ends at a ` ;`, after which everything is a comment");
    }
    if key == "secret" && raw.len() > 1 && raw.starts_with('"') && raw.ends_with('"') {
        findings.warning(origin, key, "is in quotes, which are part of the value");
    }
    if raw.contains("%%") && !raw.contains("%(") {
        findings.warning(origin, key, "has a `%%` in it, which stays two signs without a %(name)s");
    }
    // Usually a key that was indented by accident, and that has become a part of the value above it.
    if raw.contains('\n') {
        findings.warning(origin, key, "goes on in the indented lines below it");
    }
}

/// Warns of a value in a file of Python 3, in which nothing behind a value is a comment.
fn warn_of_python3_value(key: &str, value: &RawValue, origin: &Origin, findings: &mut Findings) {
    if [" #", " ;"].iter().any(|sign| value.raw.contains(sign)) {
        findings.warning(origin, key, "has a ` #` or ` ;` in it, which is part of the value, no comment");
    }
}

/// Warns of unknown keys. Keys of `DEFAULT` are there to be referred to, whatever they are called, and so are keys to
/// which another one refers.
fn warn_of_unknown(layers: &Layers<'_>, findings: &mut Findings) {
    let own = || layers.document.own_values(layers.program.section);
    let referred: BTreeSet<String> = own().flat_map(|(_, value)| references(&value.raw)).collect();
    // A misspelled key would otherwise silently leave the default in force.
    let unknown = own().filter(|(name, _)| layers.program.find(name).is_none() && !referred.contains(*name));
    for (name, value) in unknown {
        let what = match spelling::suggestion(name, layers.program.keys.iter().map(|key| key.name)) {
            Some(meant) => format!("is not known and does nothing; did you mean {meant}?"),
            None => "is not known and does nothing".to_owned(),
        };
        findings.warning(&layers.origin(value.line), name, what);
    }
}

/// Returns the names in `%(name)s` and `${name}`, in lower case as keys are.
fn references(raw: &str) -> impl Iterator<Item = String> {
    let named = |opening, close| {
        raw.split(opening).skip(1).filter_map(move |after: &str| Some(after.split_once(close)?.0.to_ascii_lowercase()))
    };
    named("%(", ')').chain(named("${", '}'))
}
