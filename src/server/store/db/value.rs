//! Values of the database, the same for each engine: integers, texts and bytes. Timestamps are microseconds in an integer,
//! truth values 0 or 1.

/// A value that is bound to a statement, or read from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value, SQL's `NULL`.
    Null,
    /// A number, an id, a timestamp or a truth value.
    Integer(i64),
    /// Text, always in UTF-8.
    Text(&'a str),
    /// Bytes that are no text.
    Bytes(&'a [u8]),
}

/// A value that is kept until its statement is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnedValue {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl OwnedValue {
    pub(super) fn of(argument: &dyn Argument) -> Self {
        match argument.value() {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_owned()),
        }
    }
}

impl Argument for OwnedValue {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

/// A type that can be bound to a statement.
pub trait Argument {
    /// Returns the value that is bound.
    fn value(&self) -> Value<'_>;
}

/// A type that can be read from a column.
pub trait FromValue: Sized {
    /// Converts a value; `None` if it is of another kind or out of range.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($name:ty),+) => {
        $(
            impl Argument for $name {
                fn value(&self) -> Value<'_> {
                    Value::Integer(i64::from(*self))
                }
            }

            impl FromValue for $name {
                fn from_value(value: Value<'_>) -> Option<Self> {
                    match value {
                        Value::Integer(number) => Self::try_from(number).ok(),
                        _ => None,
                    }
                }
            }
        )+
    };
}

integers!(i64, i32, u32, u16, u8);

impl Argument for bool {
    fn value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(number != 0),
            _ => None,
        }
    }
}

impl Argument for str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Argument for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl Argument for [u8] {
    fn value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl Argument for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.to_owned()),
            // SQLite keeps texts of a column of bytes as they were written.
            Value::Text(text) => Some(text.as_bytes().to_owned()),
            _ => None,
        }
    }
}

impl<T: Argument + ?Sized> Argument for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<T: Argument> Argument for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Argument::value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
