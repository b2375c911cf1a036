//! The fields of a form, as they are shown with what was typed into them and what is wrong with that. Pure.

use minijinja::{Value, context};

use crate::server::page::form::Filled;
use crate::server::page::template::fill;
use crate::server::store::Entry;

#[cfg(test)]
mod tests;

/// Fields that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// They.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in the form.
    pub name: &'static str,
    /// Its name to people.
    pub label: &'static str,
    /// What is to be known of it.
    pub hint: &'static str,
    /// How it is filled in.
    pub input: Input,
}

/// How a field is filled in.
#[derive(Clone, Debug)]
pub enum Input {
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
    One(Vec<Choice>),
    /// With some of these.
    Some(Vec<Choice>),
    /// With one of those that the server finds, at this address, while it is typed.
    Found(&'static str),
}

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What the form says.
    pub value: String,
    /// What people read.
    pub label: String,
}

/// What is wrong: the name of the field, or nothing for the whole, and a sentence.
pub type Mistakes = Vec<(&'static str, String)>;

impl Field {
    /// A field without a hint.
    pub fn new(name: &'static str, label: &'static str, input: Input) -> Self {
        Self { name, label, hint: "", input }
    }

    /// What is to be known of it.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

impl Choice {
    /// A choice.
    pub fn new(value: impl ToString, label: impl Into<String>) -> Self {
        Self { value: value.to_string(), label: label.into() }
    }

    /// A choice each, with what it lies in before it.
    pub fn of(entries: &[Entry]) -> Vec<Self> {
        let label = |entry: &Entry| match entry.within.as_str() {
            "" => entry.title.clone(),
            within => format!("{within} / {}", entry.title),
        };
        entries.iter().map(|entry| Self::new(entry.id, label(entry))).collect()
    }
}

/// The fields with what was typed into them.
pub fn shown(groups: &[Group], form: &Filled, mistakes: &Mistakes) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let fields = group.fields.iter().map(|field| one(field, form, mistakes)).collect::<Vec<_>>();
            context!(title => group.title, fields)
        })
        .collect();
    fill("admin_fields", context!(groups))
}

fn one(field: &Field, form: &Filled, mistakes: &Mistakes) -> Value {
    let typed: Vec<&str> = form.all(field.name).collect();
    let choices = |choices: &[Choice]| {
        let choice =
            |Choice { value, label }: &Choice| context!(value, label, chosen => typed.contains(&value.as_str()));
        choices.iter().map(choice).collect::<Vec<_>>()
    };
    let (kind, choices) = match &field.input {
        Input::Line => ("line", Vec::new()),
        Input::Number => ("number", Vec::new()),
        Input::Text => ("text", Vec::new()),
        Input::Script => ("script", Vec::new()),
        Input::Tick => ("tick", Vec::new()),
        Input::One(all) => ("one", choices(all)),
        Input::Some(all) => ("some", choices(all)),
        Input::Found(_) => ("found", Vec::new()),
    };
    let found_at = match field.input {
        Input::Found(address) => Some(address),
        _ => None,
    };
    let wrong = mistakes.iter().find(|(name, _)| *name == field.name).map(|(_, what)| what.as_str());
    context! {
        name => field.name, label => field.label, hint => field.hint, kind, choices, wrong, found_at,
        value => typed.first().copied().unwrap_or_default(), ticked => form.ticked(field.name),
    }
}

/// What is wrong, each with the name of its field to people.
pub fn told(groups: &[Group], mistakes: &Mistakes) -> Vec<Value> {
    let label = |name: &str| {
        let mut fields = groups.iter().flat_map(|group| &group.fields);
        fields.find(|field| field.name == name).map(|field| field.label)
    };
    mistakes.iter().map(|(name, what)| context!(name => *name, label => label(name), what => what.as_str())).collect()
}
