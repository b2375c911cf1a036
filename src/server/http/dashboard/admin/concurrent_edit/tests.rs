use super::super::fields::{FieldChoice, FieldGroup, FieldInput, FormField};
use super::{ConcurrentChange, SEEN, SeenFields, merge};
use crate::server::http::dashboard::form::FormValues;

fn groups() -> Vec<FieldGroup> {
    let pools = vec![FieldChoice::new(1, "One"), FieldChoice::new(2, "Two")];
    let fields = vec![
        FormField::new("title", "Title", FieldInput::Line),
        FormField::new("text", "Text", FieldInput::Text),
        FormField::new("on", "On", FieldInput::Tick),
        FormField::new("pools", "Pools", FieldInput::Some(pools)),
    ];
    vec![FieldGroup { title: "Things", fields }]
}

fn form(pairs: &[(&str, &str)]) -> FormValues {
    FormValues::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// Form with `pairs` typed into it that was opened with `opened`.
fn typed(opened: &[(&str, &str)], pairs: &[(&str, &str)]) -> FormValues {
    let seen = SeenFields::of(&groups(), &form(opened)).text();
    form(&[pairs, &[(SEEN, seen.as_str())]].concat())
}

const OPENED: &[(&str, &str)] = &[("title", "a"), ("text", "x\ny"), ("on", "yes"), ("pools", "1"), ("pools", "2")];

#[test]
fn what_only_others_changed_is_taken_over() {
    let mine = typed(OPENED, &[("title", "mine"), ("text", "x\r\ny"), ("on", "yes"), ("pools", "2"), ("pools", "1")]);
    let stored = form(&[("title", "a"), ("text", "theirs"), ("pools", "2")]);
    let (merged, changed) = merge(&groups(), &mine, &stored);
    assert_eq!((merged.text("title"), merged.text("text")), (Some("mine"), Some("theirs")));
    assert!(!merged.ticked("on"));
    assert_eq!(merged.all("pools").collect::<Vec<_>>(), ["2"]);
    let told: Vec<_> = changed.iter().map(|one| (one.label, one.now.as_str(), one.is_in_both)).collect();
    assert_eq!(told, [("Text", "theirs", false), ("On", "not ticked", false), ("Pools", "Two", false)]);
}

#[test]
fn what_both_changed_stays_as_it_was_typed_with_the_other_beside_it() {
    let mine = typed(OPENED, &[("title", "mine"), ("text", "x\ny"), ("on", "yes"), ("pools", "1"), ("pools", "2")]);
    let stored = form(&[("title", "theirs"), ("text", "x\ny"), ("on", "yes"), ("pools", "1"), ("pools", "2")]);
    let (merged, changed) = merge(&groups(), &mine, &stored);
    assert_eq!(merged.text("title"), Some("mine"));
    assert_eq!(
        changed,
        [ConcurrentChange { name: "title", label: "Title", now: "theirs".to_owned(), is_in_both: true }]
    );
}

#[test]
fn who_typed_the_same_is_not_told_of_it() {
    let mine = typed(OPENED, &[("title", "same"), ("text", "x\ny"), ("on", "yes"), ("pools", "1"), ("pools", "2")]);
    let stored = form(&[("title", "same"), ("text", "x\ny"), ("on", "yes"), ("pools", "1"), ("pools", "2")]);
    assert_eq!(merge(&groups(), &mine, &stored).1, []);
}

#[test]
fn a_form_without_digests_takes_nothing_back() {
    let stored = form(&[("title", "theirs")]);
    let (merged, changed) = merge(&groups(), &form(&[("title", "mine")]), &stored);
    assert_eq!((merged.text("title"), changed.len()), (Some("mine"), 1));
}
