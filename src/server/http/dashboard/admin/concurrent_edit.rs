//! Concurrent edits: two people change one entity at a time, and neither overwrites the other's change unseen. Pure.
//!
//! A form carries the version of the entity that it was made from, and a digest of what stood in each field. A form of
//! an old version is not saved but shown again: with the other person's change in the fields that this one left alone,
//! and with both values in sight where both changed the same field.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use super::fields::{FieldGroup, FieldInput, FormField};
use crate::server::http::dashboard::form::FormValues;

#[cfg(test)]
mod tests;

/// Name of the form field with the version of the entity.
pub const VERSION: &str = "version";
/// Name of the form field with the digests of the other fields.
pub const SEEN: &str = "seen";
/// Length of a digest in hexadecimal digits, enough to tell two contents of a field apart.
const DIGITS: usize = 12;

/// Digests of the fields of a form as it was opened, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenFields(BTreeMap<String, String>);

impl SeenFields {
    /// Digests of what stands in these fields now.
    pub fn of(groups: &[FieldGroup], form: &FormValues) -> Self {
        Self(fields(groups).map(|field| (field.name.to_owned(), digest(form, field.name))).collect())
    }

    /// Digests that a submitted form brings back.
    pub fn read(form: &FormValues) -> Self {
        let pairs = form.text(SEEN).unwrap_or_default().split(' ').filter_map(|pair| pair.split_once(':'));
        Self(pairs.map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect())
    }

    /// Text by which a form carries the digests.
    pub fn text(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, digest)| format!("{name}:{digest}")).collect();
        pairs.join(" ")
    }

    /// Whether a field differs now from what it was when the form was opened. Without a digest, whether it has any
    /// content.
    pub fn differs(&self, form: &FormValues, name: &str) -> bool {
        self.0.get(name).map_or_else(|| form.text(name).is_some(), |seen| *seen != digest(form, name))
    }
}

/// Field that another person changed after the form was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrentChange {
    /// Name of the field in the form.
    pub name: &'static str,
    /// Label of the field.
    pub label: &'static str,
    /// Stored value, as the user reads it.
    pub now: String,
    /// Whether this person changed the field too. If so, the form keeps what was typed, else it takes the stored value.
    pub is_in_both: bool,
}

/// Merges a form of an old version with the stored values. Returns the merged form, and the fields that others changed.
pub fn merge(groups: &[FieldGroup], typed: &FormValues, stored: &FormValues) -> (FormValues, Vec<ConcurrentChange>) {
    let seen = SeenFields::read(typed);
    let (mut changed, mut theirs) = (Vec::new(), BTreeSet::new());
    for field in fields(groups) {
        let is_theirs = seen.differs(stored, field.name) && digest(stored, field.name) != digest(typed, field.name);
        if !is_theirs {
            continue;
        }
        let is_in_both = seen.differs(typed, field.name);
        changed.push(ConcurrentChange { name: field.name, label: field.label, now: shown(field, stored), is_in_both });
        if !is_in_both {
            theirs.insert(field.name);
        }
    }
    // The marks of the old version must not survive: the caller adds those of the stored one.
    let mine = typed.pairs().filter(|(name, _)| !theirs.contains(name) && *name != SEEN && *name != VERSION);
    let taken = stored.pairs().filter(|(name, _)| theirs.contains(name));
    let pairs = mine.chain(taken).map(|(name, value)| (name.to_owned(), value.to_owned()));
    (FormValues::of(pairs.collect()), changed)
}

fn fields(groups: &[FieldGroup]) -> impl Iterator<Item = &FormField> {
    groups.iter().flat_map(|group| &group.fields)
}

/// Value of a field as the user reads it.
fn shown(field: &FormField, form: &FormValues) -> String {
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

/// Digest of a field, independent of the line ends that a browser sends and of the order of ticked boxes.
fn digest(form: &FormValues, name: &str) -> String {
    let mut values: Vec<String> = form.all(name).map(|value| value.replace("\r\n", "\n")).collect();
    // A field that is not sent, such as a box without a tick, equals an empty one.
    values.retain(|value| !value.is_empty());
    values.sort_unstable();
    let digest = Sha1::digest(values.join("\0"));
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..DIGITS].to_owned()
}
