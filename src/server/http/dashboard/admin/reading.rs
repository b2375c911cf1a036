//! A form is read into values; whatever is wrong is collected, so that all of it is told at once. Pure.

use std::fmt::Display;

use super::fields::Mistakes;
use crate::server::domain::rules;
use crate::server::http::dashboard::form::Filled;
use crate::server::store::EntityForm;

#[cfg(test)]
mod tests;

/// The longest description, in characters.
const DESCRIPTION: usize = 10_000;

/// A form that is read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What was typed.
    pub form: &'a Filled,
    mistakes: Mistakes,
}

impl<'a> Reading<'a> {
    /// Nothing is read yet.
    pub fn of(form: &'a Filled) -> Self {
        Self { form, mistakes: Vec::new() }
    }

    /// A value, or a mistake and nothing.
    pub fn take<T, E: Display>(&mut self, name: &'static str, read: Result<T, E>) -> Option<T> {
        read.map_err(|e| self.wrong(name, e)).ok()
    }

    /// A mistake.
    pub fn wrong(&mut self, name: &'static str, what: impl Display) {
        self.mistakes.push((name, what.to_string()));
    }

    /// A number that is no less than 0, if one was typed.
    pub fn count(&mut self, name: &'static str) -> Option<u32> {
        let typed = self.form.text(name)?;
        let read = typed.parse().map_err(|_| format!("{typed:?} is no whole number from 0 to {}", u32::MAX));
        self.take(name, read)
    }

    /// One that has to be chosen.
    pub fn chosen<T>(&mut self, name: &'static str, what: &str, id: impl Fn(i64) -> Option<T>) -> Option<T> {
        let chosen = self.form.text(name).and_then(|text| text.parse().ok()).and_then(id);
        self.take(name, chosen.ok_or_else(|| format!("choose {what}")))
    }

    /// Those that were chosen.
    pub fn all<T>(&self, name: &str, id: impl Fn(i64) -> Option<T>) -> Vec<T> {
        self.form.all(name).filter_map(|text| text.parse().ok()).filter_map(id).collect()
    }

    /// What is written of projects, templates, pools and workers alike.
    pub fn sheet(&mut self) -> Option<EntityForm> {
        let title = self.take("title", rules::title(self.form.text("title").unwrap_or_default()));
        let description = self.description();
        let addresses =
            self.take("notification_addresses", rules::addresses(&self.form.script("notification_addresses")));
        Some(EntityForm {
            title: title?.to_owned(),
            description: description?,
            enabled: self.form.ticked("enabled"),
            notification_addresses: addresses?,
        })
    }

    /// What it is for.
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

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// What is.
    pub fn done<T>(self, read: Option<T>) -> Result<T, Mistakes> {
        match read {
            Some(read) if self.mistakes.is_empty() => Ok(read),
            _ => Err(self.mistakes),
        }
    }
}

/// What is written of projects, templates, pools and workers alike, as a form.
pub fn typed(sheet: &EntityForm) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut typed = vec![
        pair("title", &sheet.title),
        pair("description", &sheet.description),
        pair("notification_addresses", &sheet.notification_addresses),
    ];
    typed.extend(sheet.enabled.then(|| pair("enabled", "yes")));
    typed
}
