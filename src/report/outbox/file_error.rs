//! Errors of SQLite and the system on the outbox's file, and their meaning for the writer.

use std::io;

use rusqlite::ffi;

#[cfg(test)]
mod tests;

/// Error of SQLite or the system on the outbox's file.
#[derive(Debug, thiserror::Error)]
pub enum OutboxFileError {
    /// SQLite could not open the file or execute a statement.
    #[error("(code: {code}) {message}")]
    Sqlite {
        /// Extended result code of SQLite.
        code: i32,
        /// Reason in SQLite's words.
        message: String,
    },
    /// The system refused a thread, or an operation on a file.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A statement or its result is not as this program expects.
    #[error(transparent)]
    Unexpected(rusqlite::Error),
}

impl From<rusqlite::Error> for OutboxFileError {
    fn from(error: rusqlite::Error) -> Self {
        let (error, message) = match error {
            rusqlite::Error::SqliteFailure(error, message) => (error, message),
            rusqlite::Error::SqlInputError { error, msg, .. } => (error, Some(msg)),
            other => return Self::Unexpected(other),
        };
        let code = error.extended_code;
        let mut message = message.unwrap_or_else(|| ffi::code_to_str(code).to_owned());
        if code & 0xff == ffi::SQLITE_CANTOPEN {
            // The path, which rusqlite appends, is in the error of the outbox already.
            message.truncate(message.find(": ").unwrap_or(message.len()));
        }
        Self::Sqlite { code, message }
    }
}

/// Meaning of an error for the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// The disk is full, or the system cannot write for another reason.
    NoRoom,
    /// The file is damaged, or is no outbox at all.
    Damaged,
    /// Any other error, which a retry may overcome.
    Other,
}

impl OutboxFileError {
    /// Classifies the error by its primary result code; the upper bytes of an extended code have further information.
    pub fn trouble(&self) -> StoreTrouble {
        let Self::Sqlite { code, .. } = self else { return StoreTrouble::Other };
        match code & 0xff {
            ffi::SQLITE_FULL | ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => StoreTrouble::NoRoom,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => StoreTrouble::Damaged,
            _ => StoreTrouble::Other,
        }
    }

    /// Returns the message without the code.
    pub fn message(&self) -> String {
        match self {
            Self::Sqlite { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }
}
