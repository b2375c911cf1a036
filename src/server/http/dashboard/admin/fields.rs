//! The fields of a form, as they are shown with what was typed into them and what is wrong with that. Pure.

use minijinja::{Value, context};

use crate::server::http::dashboard::form::Filled;
use crate::server::http::dashboard::template::fill;
use crate::server::store::CatalogueEntry;

#[cfg(test)]
mod tests;

/// Fields that belong together.
#[derive(Clone, Debug)]
pub struct FieldGroup {
    /// What they are about.
    pub title: &'static str,
    /// They.
    pub fields: Vec<FormField>,
}

/// A field.
#[derive(Clone, Debug)]
pub struct FormField {
    /// Its name in the form.
    pub name: &'static str,
    /// Its name to people.
    pub label: &'static str,
    /// What is to be known of it.
    pub hint: &'static str,
    /// How it is filled in.
    pub input: FieldInput,
}

/// How a field is filled in.
#[derive(Clone, Debug)]
pub enum FieldInput {
    /// With a line.
    Line,
    /// With a number.
    Number,
    /// With lines of text.
    Text,
    /// With a script.
    Script,
    /// With a tick or none.
    Tick,
    /// With one of these.
    One(Vec<FieldChoice>),
    /// With some of these.
    Some(Vec<FieldChoice>),
    /// With one of those that the server finds, at this address, while it is typed.
    Found(&'static str),
}

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChoice {
    /// What the form says.
    pub value: String,
    /// What people read.
    pub label: String,
}

/// What is wrong: the name of the field, or nothing for the whole, and a sentence.
pub type Mistakes = Vec<(&'static str, String)>;

impl FormField {
    /// A field without a hint.
    pub fn new(name: &'static str, label: &'static str, input: FieldInput) -> Self {
        Self { name, label, hint: "", input }
    }

    /// What is to be known of it.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

impl FieldChoice {
    /// A choice.
    pub fn new(value: impl ToString, label: impl Into<String>) -> Self {
        Self { value: value.to_string(), label: label.into() }
    }

    /// A choice each, with what it lies in before it.
    pub fn of(entries: &[CatalogueEntry]) -> Vec<Self> {
        let label = |entry: &CatalogueEntry| match entry.within.as_str() {
            "" => entry.title.clone(),
            within => format!("{within} / {}", entry.title),
        };
        entries.iter().map(|entry| Self::new(entry.id, label(entry))).collect()
    }
}

/// The fields with what was typed into them.
pub fn shown(groups: &[FieldGroup], form: &Filled, mistakes: &Mistakes) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let fields = group.fields.iter().map(|field| one(field, form, mistakes)).collect::<Vec<_>>();
            context!(title => group.title, fields)
        })
        .collect();
    fill("admin_fields", context!(groups))
}

fn one(field: &FormField, form: &Filled, mistakes: &Mistakes) -> Value {
    let typed: Vec<&str> = form.all(field.name).collect();
    let choices = |choices: &[FieldChoice]| {
        let choice = |FieldChoice { value, label }: &FieldChoice| context!(value, label, chosen => typed.contains(&value.as_str()));
        choices.iter().map(choice).collect::<Vec<_>>()
    };
    let (kind, choices) = match &field.input {
        FieldInput::Line => ("line", Vec::new()),
        FieldInput::Number => ("number", Vec::new()),
        FieldInput::Text => ("text", Vec::new()),
        FieldInput::Script => ("script", Vec::new()),
        FieldInput::Tick => ("tick", Vec::new()),
        FieldInput::One(all) => ("one", choices(all)),
        FieldInput::Some(all) => ("some", choices(all)),
        FieldInput::Found(_) => ("found", Vec::new()),
    };
    let found_at = match field.input {
        FieldInput::Found(address) => Some(address),
        _ => None,
    };
    let wrong = mistakes.iter().find(|(name, _)| *name == field.name).map(|(_, what)| what.as_str());
    context! {
        name => field.name, label => field.label, hint => field.hint, kind, choices, wrong, found_at,
        value => typed.first().copied().unwrap_or_default(), ticked => form.ticked(field.name),
    }
}

/// What is wrong, each with the name of its field to people.
pub fn told(groups: &[FieldGroup], mistakes: &Mistakes) -> Vec<Value> {
    let label = |name: &str| {
        let mut fields = groups.iter().flat_map(|group| &group.fields);
        fields.find(|field| field.name == name).map(|field| field.label)
    };
    mistakes.iter().map(|(name, what)| context!(name => *name, label => label(name), what => what.as_str())).collect()
}
