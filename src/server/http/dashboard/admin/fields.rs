//! Form fields as HTML: shows them with what was typed and with the mistakes in it. Pure.

use minijinja::{Value, context};

use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::template::fill;
use crate::server::store::CatalogueEntry;

#[cfg(test)]
mod tests;

/// Group of fields under one title.
#[derive(Clone, Debug)]
pub struct FieldGroup {
    /// Title above the group.
    pub title: &'static str,
    /// Fields, in the order of the form.
    pub fields: Vec<FormField>,
}

/// Description of one form field.
#[derive(Clone, Debug)]
pub struct FormField {
    /// Name under which the form sends the value.
    pub name: &'static str,
    /// Label in front of the field.
    pub label: &'static str,
    /// Explanation below the field; empty for none.
    pub hint: &'static str,
    /// Kind of input, with its choices.
    pub input: FieldInput,
}

/// Kind of input that a field offers.
#[derive(Clone, Debug)]
pub enum FieldInput {
    /// One line of text.
    Line,
    /// One line for a whole number; touch devices show digits for it.
    Number,
    /// Several lines of text.
    Text,
    /// Several lines of code, without wrapping and spelling check.
    Script,
    /// A checkbox that is ticked or not.
    Tick,
    /// Exactly one of these choices.
    One(Vec<FieldChoice>),
    /// Any number of these choices.
    Some(Vec<FieldChoice>),
    /// One line with suggestions, which the script fetches from this address while the user types.
    Found(&'static str),
}

/// Choice in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChoice {
    /// Value that the form sends.
    pub value: String,
    /// Text that the user reads.
    pub label: String,
}

/// Mistakes in a form: for each the name of its field, empty for the whole form, and a sentence.
pub type Mistakes = Vec<(&'static str, String)>;

impl FormField {
    /// Field without a hint.
    pub fn new(name: &'static str, label: &'static str, input: FieldInput) -> Self {
        Self { name, label, hint: "", input }
    }

    /// Adds the explanation below the field.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

impl FieldChoice {
    /// Choice with its value and its label.
    pub fn new(value: impl ToString, label: impl Into<String>) -> Self {
        Self { value: value.to_string(), label: label.into() }
    }

    /// One choice for each entry; its label names the entity that the entry belongs to before its title.
    pub fn of(entries: &[CatalogueEntry]) -> Vec<Self> {
        let label = |entry: &CatalogueEntry| match entry.within.as_str() {
            "" => entry.title.clone(),
            within => format!("{within} / {}", entry.title),
        };
        entries.iter().map(|entry| Self::new(entry.id, label(entry))).collect()
    }
}

/// Renders the fields with what was typed into them and with their mistakes.
pub fn render_fields(groups: &[FieldGroup], form: &FormValues, mistakes: &Mistakes) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let fields = group.fields.iter().map(|field| render_field(field, form, mistakes)).collect::<Vec<_>>();
            context!(title => group.title, fields)
        })
        .collect();
    fill("admin_fields", context!(groups))
}

fn render_field(field: &FormField, form: &FormValues, mistakes: &Mistakes) -> Value {
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
    // One mistake at a field is enough there; the list above the form has all.
    let wrong = mistakes.iter().find(|(name, _)| *name == field.name).map(|(_, what)| what.as_str());
    context! {
        name => field.name, label => field.label, hint => field.hint, kind, choices, wrong, found_at,
        value => typed.first().copied().unwrap_or_default(), ticked => form.ticked(field.name),
    }
}

/// Mistakes for the list above the form, each with the label of its field.
pub fn mistake_list(groups: &[FieldGroup], mistakes: &Mistakes) -> Vec<Value> {
    let label = |name: &str| {
        let mut fields = groups.iter().flat_map(|group| &group.fields);
        fields.find(|field| field.name == name).map(|field| field.label)
    };
    mistakes.iter().map(|(name, what)| context!(name => *name, label => label(name), what => what.as_str())).collect()
}
