//! Bodies: parses the JSON object of a request and reads its fields by type. Pure.

use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::answer::ApiAnswer;
use super::time;
use crate::server::domain::model::Timestamp;
use crate::server::domain::resource::Resource;

#[cfg(test)]
mod tests;

/// Fields of a body.
#[derive(Debug)]
pub struct Form {
    fields: Map<String, Value>,
    zone: Tz,
}

/// Fault of a body, with the original's three statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The body cannot be read, or a field has another JSON type than it must have.
    Unreadable(String),
    /// A value is not allowed.
    Value(String),
    /// A path leads nowhere, or is missing.
    Path(String),
}

impl From<BodyFault> for ApiAnswer {
    fn from(wrong: BodyFault) -> Self {
        match wrong {
            BodyFault::Unreadable(what) => Self::unreadable(&what),
            BodyFault::Value(what) => Self::bad(&what),
            BodyFault::Path(what) => Self::no_name(&what),
        }
    }
}

impl Form {
    /// Parses a body of a content type. A body without a type is taken for JSON.
    ///
    /// # Errors
    /// If it has another type, or is not a JSON object.
    pub fn read(body: &[u8], kind: Option<&str>, zone: Tz) -> Result<Self, BodyFault> {
        if let Some(kind) =
            // Parameters of the type, such as a charset, are not looked at.
            kind.and_then(|kind| kind.split(';').next()).filter(|kind| kind.trim() != "application/json")
        {
            return Err(BodyFault::Unreadable(format!("a body of {kind} is not understood; application/json is")));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self { fields, zone }),
            Ok(_) => Err(BodyFault::Unreadable("the body is not a JSON object".to_owned())),
            Err(e) => Err(BodyFault::Unreadable(format!("the body is not JSON: {e}"))),
        }
    }

    /// Reads a field with `read`: `None` where it is missing, `Some(None)` where it is null.
    fn field<T>(
        &self,
        name: &str,
        what: &str,
        wrong: impl Fn(String) -> BodyFault,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Option<T>>, BodyFault> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(Some(read))),
                None => Err(wrong(format!("{name} is not {what}"))),
            },
        }
    }

    /// Reads a timestamp; one without an offset is in the server's zone.
    pub fn time(&self, name: &str) -> Result<Option<Option<Timestamp>>, BodyFault> {
        let zone = self.zone;
        self.field(name, "a time, like 2026-11-23T17:02:01+00:00", BodyFault::Value, |value| {
            time::read(value.as_str()?, zone)
        })
    }

    /// Reads a truth value.
    pub fn truth(&self, name: &str) -> Result<Option<Option<bool>>, BodyFault> {
        self.field(name, "true or false", BodyFault::Value, Value::as_bool)
    }

    /// Reads a whole number, given as a number or as digits.
    pub fn number(&self, name: &str) -> Result<Option<Option<i64>>, BodyFault> {
        self.field(name, "a whole number", BodyFault::Unreadable, |value| match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        })
    }

    /// Reads a number from 0 to [`u32::MAX`].
    pub fn count(&self, name: &str) -> Result<Option<Option<u32>>, BodyFault> {
        match self.number(name)? {
            Some(Some(number)) => match u32::try_from(number) {
                Ok(count) => Ok(Some(Some(count))),
                Err(_) => Err(BodyFault::Value(format!("{name} is not between 0 and {}", u32::MAX))),
            },
            Some(None) => Ok(Some(None)),
            None => Ok(None),
        }
    }

    /// Reads a field of text.
    pub fn text(&self, name: &str) -> Result<Option<Option<String>>, BodyFault> {
        self.field(name, "text", BodyFault::Value, |value| value.as_str().map(str::to_owned))
    }

    /// Returns a field as it is; `None` where it is null or missing.
    pub fn json(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Reads the path of one entity of a resource and returns its id.
    pub fn one(&self, name: &str, resource: Resource) -> Result<Option<Option<i64>>, BodyFault> {
        let what = format!("the path of a {}, like {}", resource.name(), resource.path(1));
        self.field(name, &what, BodyFault::Path, |value| id(value.as_str()?, resource))
    }

    /// Reads such a path, which must not be missing.
    pub fn needed_one(&self, name: &str, resource: Resource) -> Result<i64, BodyFault> {
        self.one(name, resource)?.flatten().ok_or_else(|| BodyFault::Path(format!("{name} is missing")))
    }

    /// Unwraps a field that must be present and not null.
    pub fn needed<T>(name: &str, field: Option<Option<T>>) -> Result<T, BodyFault> {
        field.flatten().ok_or_else(|| BodyFault::Value(format!("{name} is missing")))
    }

    /// Unwraps a field that may be missing, but must not be null.
    pub fn not_null<T>(name: &str, field: Option<Option<T>>) -> Result<Option<T>, BodyFault> {
        match field {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(BodyFault::Value(format!("{name} cannot be null"))),
        }
    }
}

/// Parses the id from the path of one entity of a resource.
fn id(path: &str, resource: Resource) -> Option<i64> {
    let inner = path.strip_prefix("/api/v1/")?.strip_suffix('/')?;
    let (name, id) = inner.split_once('/')?;
    (name == resource.name()).then(|| id.parse().ok().filter(|id| *id > 0))?
}
