//! Two people change one thing at a time: what each of them changed is kept, and nothing is put back in silence. Pure.
//!
//! A form carries the version of the thing that it was made of, and a digest of what stood in each field. Who saves
//! a form of an old version gets it again: with the other's change in the fields that he left alone, and with both in
//! sight where both changed the same.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use super::fields::{FieldGroup, FieldInput, FormField};
use crate::server::http::dashboard::form::Filled;

#[cfg(test)]
mod tests;

/// The field of a form with the version of its thing.
pub const VERSION: &str = "version";
/// The field of a form with what stood in the others.
pub const SEEN: &str = "seen";
/// How many hexadecimal digits of a digest are enough to tell two contents of a field apart.
const DIGITS: usize = 12;

/// What stood in the fields of a form when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenFields(BTreeMap<String, String>);

impl SeenFields {
    /// What stands in these fields.
    pub fn of(groups: &[FieldGroup], form: &Filled) -> Self {
        Self(fields(groups).map(|field| (field.name.to_owned(), digest(form, field.name))).collect())
    }

    /// What a form brings back.
    pub fn read(form: &Filled) -> Self {
        let pairs = form.text(SEEN).unwrap_or_default().split(' ').filter_map(|pair| pair.split_once(':'));
        Self(pairs.map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect())
    }

    /// As a form carries it.
    pub fn text(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, digest)| format!("{name}:{digest}")).collect();
        pairs.join(" ")
    }

    /// Whether something else stands in a field now. Without a digest, whether anything does.
    pub fn differs(&self, form: &Filled, name: &str) -> bool {
        self.0.get(name).map_or_else(|| form.text(name).is_some(), |seen| *seen != digest(form, name))
    }
}

/// A field that somebody else changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meanwhile {
    /// Its name in the form.
    pub name: &'static str,
    /// Its name to people.
    pub label: &'static str,
    /// What stands there now, as people read it.
    pub now: String,
    /// Whether who sends the form changed it too: then what he typed stands in the form, else what is there now.
    pub is_in_both: bool,
}

/// A form of an old version with what others changed, and which fields these are.
pub fn merge(groups: &[FieldGroup], typed: &Filled, stored: &Filled) -> (Filled, Vec<Meanwhile>) {
    let seen = SeenFields::read(typed);
    let (mut changed, mut theirs) = (Vec::new(), BTreeSet::new());
    for field in fields(groups) {
        let is_theirs = seen.differs(stored, field.name) && digest(stored, field.name) != digest(typed, field.name);
        if !is_theirs {
            continue;
        }
        let is_in_both = seen.differs(typed, field.name);
        changed.push(Meanwhile { name: field.name, label: field.label, now: shown(field, stored), is_in_both });
        if !is_in_both {
            theirs.insert(field.name);
        }
    }
    let mine = typed.pairs().filter(|(name, _)| !theirs.contains(name) && *name != SEEN && *name != VERSION);
    let taken = stored.pairs().filter(|(name, _)| theirs.contains(name));
    let pairs = mine.chain(taken).map(|(name, value)| (name.to_owned(), value.to_owned()));
    (Filled::of(pairs.collect()), changed)
}

fn fields(groups: &[FieldGroup]) -> impl Iterator<Item = &FormField> {
    groups.iter().flat_map(|group| &group.fields)
}

/// What stands in a field, as people read it.
fn shown(field: &FormField, form: &Filled) -> String {
    let label = |value: &str| match &field.input {
        FieldInput::One(choices) | FieldInput::Some(choices) => {
            choices.iter().find(|choice| choice.value == value).map_or(value, |choice| choice.label.as_str()).to_owned()
        }
        _ => value.to_owned(),
    };
    match field.input {
        FieldInput::Tick if form.ticked(field.name) => "ticked".to_owned(),
        FieldInput::Tick => "not ticked".to_owned(),
        _ => form.all(field.name).map(label).collect::<Vec<_>>().join(", "),
    }
}

/// What a field is known by: whatever line ends a browser sends, and in whatever order boxes are ticked.
fn digest(form: &Filled, name: &str) -> String {
    let mut values: Vec<String> = form.all(name).map(|value| value.replace("\r\n", "\n")).collect();
    // An empty field and none are the same.
    values.retain(|value| !value.is_empty());
    values.sort_unstable();
    let digest = Sha1::digest(values.join("\0"));
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..DIGITS].to_owned()
}
