//! Values on their way to PostgreSQL and back.

use std::borrow::Cow;
use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};

use crate::server::store::db::{DbError, FromValue, Value, nul};

type Fault = Box<dyn Error + Sync + Send>;

/// A value that is bound to a statement. A number goes as text, which PostgreSQL reads as whatever number it expects.
#[derive(Debug)]
pub struct Bound<'a>(pub Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Text(text) if is_bytes(kind) => out.extend_from_slice(text.as_bytes()),
            Value::Text(text) => out.extend_from_slice(nul::encode(text).as_bytes()),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, kind: &Type) -> Format {
        match self.0 {
            Value::Bytes(_) => Format::Binary,
            // As text, backslashes would be escapes.
            Value::Text(_) if is_bytes(kind) => Format::Binary,
            _ => Format::Text,
        }
    }

    tokio_postgres::types::to_sql_checked!();
}

fn is_bytes(kind: &Type) -> bool {
    let base = if let Kind::Domain(base) = kind.kind() { base } else { kind };
    *base == Type::BYTEA
}

/// A value of a column; `None` if it is of a kind that the store does not know.
struct Read<'a>(Option<Value<'a>>);

impl<'a> FromSql<'a> for Read<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        let number = |raw: &[u8]| match *raw {
            [a] => Some(i64::from(a)),
            [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
            _ => Some(i64::from_be_bytes(raw.try_into().ok()?)),
        };
        Ok(Self(match *kind {
            Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL => number(raw).map(Value::Integer),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR | Type::UNKNOWN => {
                std::str::from_utf8(raw).ok().map(Value::Text)
            }
            Type::BYTEA => Some(Value::Bytes(raw)),
            _ => None,
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Fault> {
        Ok(Self(Some(Value::Null)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Reads a column by its place.
///
/// # Errors
/// If there is no such column, or it is of another kind.
pub fn column<T: FromValue>(row: &Row, index: usize) -> Result<T, DbError> {
    let name = row.columns().get(index).map_or("a column", tokio_postgres::Column::name);
    let value = row.try_get::<_, Read<'_>>(index).ok().and_then(|read| read.0);
    let converted = match value {
        Some(Value::Text(text)) => T::from_value(Value::Text(&nul::decode(text))),
        value => value.and_then(T::from_value),
    };
    converted.ok_or_else(|| DbError::Strange(name.to_owned()))
}

/// Reads a column by its name.
///
/// # Errors
/// If there is no such column, or it is of another kind.
pub fn named<T: FromValue>(row: &Row, name: &str) -> Result<T, DbError> {
    column(row, place(row, name)?)
}

/// Reads a column of text by its name, without a copy.
///
/// # Errors
/// If there is no such column, or it is no text.
pub fn text<'r>(row: &'r Row, name: &str) -> Result<Cow<'r, str>, DbError> {
    match row.try_get::<_, Read<'r>>(place(row, name)?) {
        Ok(Read(Some(Value::Text(text)))) => Ok(nul::decode(text)),
        _ => Err(DbError::Strange(name.to_owned())),
    }
}

fn place(row: &Row, name: &str) -> Result<usize, DbError> {
    // SQLite does not look at the case of a column's name; PostgreSQL folds it.
    let place = row.columns().iter().position(|column| column.name().eq_ignore_ascii_case(name));
    place.ok_or_else(|| DbError::Strange(name.to_owned()))
}
