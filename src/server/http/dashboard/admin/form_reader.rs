//! Form reader: turns the fields of a form into values and collects all mistakes, so that they are shown at once. Pure.

use std::fmt::Display;

use super::fields::Mistakes;
use crate::server::domain::rules;
use crate::server::domain::title::Title;
use crate::server::http::dashboard::form::FormValues;
use crate::server::store::EntityForm;

#[cfg(test)]
mod tests;

/// The longest description, in characters.
const DESCRIPTION: usize = 10_000;

/// Form that is being read, with the mistakes found so far.
#[derive(Debug)]
pub struct FormReader<'a> {
    /// Fields as they were submitted.
    pub form: &'a FormValues,
    mistakes: Mistakes,
}

impl<'a> FormReader<'a> {
    /// Reader of a form, without mistakes yet.
    pub fn of(form: &'a FormValues) -> Self {
        Self { form, mistakes: Vec::new() }
    }

    /// Takes a value, or records the error as a mistake of the field.
    pub fn take<T, E: Display>(&mut self, name: &'static str, read: Result<T, E>) -> Option<T> {
        read.map_err(|e| self.wrong(name, e)).ok()
    }

    /// Records a mistake of a field.
    pub fn wrong(&mut self, name: &'static str, what: impl Display) {
        self.mistakes.push((name, what.to_string()));
    }

    /// Reads a whole number; `None` if the field is empty or holds no such number, which is recorded as a mistake.
    pub fn count(&mut self, name: &'static str) -> Option<u32> {
        let typed = self.form.text(name)?;
        let read = typed.parse().map_err(|_| format!("{typed:?} is no whole number from 0 to {}", u32::MAX));
        self.take(name, read)
    }

    /// Reads the id of a required choice; `what` names it in the mistake.
    pub fn chosen<T>(&mut self, name: &'static str, what: &str, id: impl Fn(i64) -> Option<T>) -> Option<T> {
        let chosen = self.form.text(name).and_then(|text| text.parse().ok()).and_then(id);
        self.take(name, chosen.ok_or_else(|| format!("choose {what}")))
    }

    /// Reads the ids of all choices. Values that are no ids are ignored: only a forged form has any.
    pub fn all<T>(&self, name: &str, id: impl Fn(i64) -> Option<T>) -> Vec<T> {
        self.form.all(name).filter_map(|text| text.parse().ok()).filter_map(id).collect()
    }

    /// Reads the fields that projects, templates and pools have in common.
    pub fn entity_form(&mut self) -> Option<EntityForm> {
        let title = self.take("title", Title::new(self.form.text("title").unwrap_or_default()));
        let description = self.description();
        let addresses =
            self.take("notification_addresses", rules::addresses(&self.form.script("notification_addresses")));
        // All fields are read before the first `?`, so that no mistake hides another one.
        Some(EntityForm {
            title: title?,
            description: description?,
            enabled: self.form.ticked("enabled"),
            notification_addresses: addresses?,
        })
    }

    /// Reads the description, without white space at its end.
    pub fn description(&mut self) -> Option<String> {
        let text = self.form.script("description").trim_end().to_owned();
        let length = text.chars().count();
        let read = if length > DESCRIPTION {
            Err(format!("{length} characters are too many; {DESCRIPTION} are allowed"))
        } else {
            Ok(text)
        };
        self.take("description", read)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If there is any mistake: all of them, in the order in which they were found.
    pub fn done<T>(self, read: Option<T>) -> Result<T, Mistakes> {
        match read {
            Some(read) if self.mistakes.is_empty() => Ok(read),
            _ => Err(self.mistakes),
        }
    }
}

/// Common fields of an entity as the values of its form. Counterpart of [`FormReader::entity_form`].
pub fn common_values(values: &EntityForm) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut typed = vec![
        pair("title", &values.title),
        pair("description", &values.description),
        pair("notification_addresses", &values.notification_addresses),
    ];
    typed.extend(values.enabled.then(|| pair("enabled", "yes")));
    typed
}
