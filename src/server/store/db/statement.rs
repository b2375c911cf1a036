//! A statement that is put together of parts, with the values that are bound to it.

use super::value::{Argument, OwnedValue};

/// SQL that depends on what is asked for. Values are bound, never part of the text.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    sql: String,
    bound: Vec<OwnedValue>,
}

impl Statement {
    /// Begins with this text.
    #[must_use]
    pub fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), bound: Vec::new() }
    }

    /// Appends text, which is never of a user.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a place for a value, and binds the value to it.
    pub fn bind(&mut self, value: &dyn Argument) -> &mut Self {
        self.sql.push('?');
        self.bound.push(OwnedValue::of(value));
        self
    }

    /// Returns the text of the statement.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the bound values in their order.
    #[must_use]
    pub fn arguments(&self) -> Vec<&dyn Argument> {
        self.bound.iter().map(|value| -> &dyn Argument { value }).collect()
    }
}
