//! The fields of a body: read with a type, or refused with a sentence. Pure.

use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::answer::ApiAnswer;
use super::time;
use crate::server::domain::model::Timestamp;
use crate::server::domain::resource::Resource;

#[cfg(test)]
mod tests;

/// The fields of a body.
#[derive(Debug)]
pub struct Form {
    fields: Map<String, Value>,
    zone: Tz,
}

/// What is wrong with a body, in the original's three ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It cannot be read at all, or has another type than it must have.
    Unreadable(String),
    /// A value is none of those that there are.
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
    /// Reads a body of a content type. One without a type is taken for JSON.
    ///
    /// # Errors
    /// That it is not a JSON object.
    pub fn read(body: &[u8], kind: Option<&str>, zone: Tz) -> Result<Self, BodyFault> {
        if let Some(kind) =
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

    /// A field, `Some(None)` where it is null, read by `read`.
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

    /// A time.
    pub fn time(&self, name: &str) -> Result<Option<Option<Timestamp>>, BodyFault> {
        let zone = self.zone;
        self.field(name, "a time, like 2026-11-23T17:02:01+00:00", BodyFault::Value, |value| {
            time::read(value.as_str()?, zone)
        })
    }

    /// A truth.
    pub fn truth(&self, name: &str) -> Result<Option<Option<bool>>, BodyFault> {
        self.field(name, "true or false", BodyFault::Value, Value::as_bool)
    }

    /// A whole number, as number or digits.
    pub fn number(&self, name: &str) -> Result<Option<Option<i64>>, BodyFault> {
        self.field(name, "a whole number", BodyFault::Unreadable, |value| match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        })
    }

    /// A number that is no less than 0.
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

    /// Text.
    pub fn text(&self, name: &str) -> Result<Option<Option<String>>, BodyFault> {
        self.field(name, "text", BodyFault::Value, |value| value.as_str().map(str::to_owned))
    }

    /// A field as it is; nothing where it is null or missing.
    pub fn json(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The path of one of a resource: its id.
    pub fn one(&self, name: &str, resource: Resource) -> Result<Option<Option<i64>>, BodyFault> {
        let what = format!("the path of a {}, like {}", resource.name(), resource.path(1));
        self.field(name, &what, BodyFault::Path, |value| id(value.as_str()?, resource))
    }

    /// A path that must be there.
    pub fn needed_one(&self, name: &str, resource: Resource) -> Result<i64, BodyFault> {
        self.one(name, resource)?.flatten().ok_or_else(|| BodyFault::Path(format!("{name} is missing")))
    }

    /// A field that must be there and not null.
    pub fn needed<T>(name: &str, field: Option<Option<T>>) -> Result<T, BodyFault> {
        field.flatten().ok_or_else(|| BodyFault::Value(format!("{name} is missing")))
    }

    /// A field that may be left out, but not be null.
    pub fn not_null<T>(name: &str, field: Option<Option<T>>) -> Result<Option<T>, BodyFault> {
        match field {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(BodyFault::Value(format!("{name} cannot be null"))),
        }
    }
}

/// The id in the path of one of a resource.
fn id(path: &str, resource: Resource) -> Option<i64> {
    let inner = path.strip_prefix("/api/v1/")?.strip_suffix('/')?;
    let (name, id) = inner.split_once('/')?;
    (name == resource.name()).then(|| id.parse().ok().filter(|id| *id > 0))?
}
