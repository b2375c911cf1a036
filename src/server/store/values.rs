//! Values of the domain as the database keeps them: ids and timestamps are integers.

use chrono::DateTime;

use super::db::{Argument, FromValue, Value};
use crate::run::{KillId, RequestId, RunId};
use crate::server::domain::model::{GroupId, JobId, LogId, PoolId, ProjectId, TemplateId, Timestamp, WorkerId};

macro_rules! ids {
    ($($id:ty),+ $(,)?) => {
        $(
            impl Argument for $id {
                fn value(&self) -> Value<'_> {
                    Value::Integer(self.get())
                }
            }

            impl FromValue for $id {
                fn from_value(value: Value<'_>) -> Option<Self> {
                    i64::from_value(value).and_then(Self::new)
                }
            }
        )+
    };
}

ids!(GroupId, JobId, KillId, LogId, PoolId, ProjectId, RequestId, RunId, TemplateId, WorkerId);

/// Limit of a query that has none: a number for which both databases return all rows.
pub const NO_LIMIT: i64 = i64::MAX;

/// Any value but bytes, for a digest of what a row has.
impl FromValue for serde_json::Value {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Integer(number) => Some(number.into()),
            Value::Text(text) => Some(text.into()),
            Value::Bytes(_) => None,
        }
    }
}

/// Microseconds since 1970 in UTC.
impl Argument for Timestamp {
    fn value(&self) -> Value<'_> {
        Value::Integer(self.timestamp_micros())
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value).and_then(DateTime::from_timestamp_micros)
    }
}
