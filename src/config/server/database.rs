//! Setting `database`: the database of the server, and where the password for it comes from.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::file;
use super::super::value::WrongValue;
use super::super::worker::Check;
use crate::run::Secret;
use crate::server::{Database, DatabaseUrl};

/// Key of the database, whose value may have a password in it.
const DATABASE: &str = "database";
/// Key of the file with the password.
const PASSWORD_FILE: &str = "database_password_file";
/// Variable with the password, as all programs of PostgreSQL know it.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// Checks the database and its password; `None` if there is a mistake, which is in the findings.
pub fn database(check: &mut Check<'_>) -> Option<Database> {
    let database = check.take(DATABASE, parse);
    let file = check.optional_path(PASSWORD_FILE)?;
    let password = file.map(|file| password_of(check, &file));
    match (database?, password) {
        (Database::Sqlite, None) => Some(Database::Sqlite),
        (Database::Sqlite, Some(_)) => {
            warn(check, "does nothing: database is the SQLite file in data_path");
            Some(Database::Sqlite)
        }
        (Database::Postgres(url), Some(_)) if url.has_password() => {
            mistake(check, "is set, and so is a password in database; set one of them");
            None
        }
        (Database::Postgres(url), Some(password)) => Some(Database::Postgres(url.with_password(password?))),
        (Database::Postgres(url), None) if url.has_password() => Some(Database::Postgres(url)),
        (Database::Postgres(url), None) => Some(Database::Postgres(with_password_of_environment(check, url))),
    }
}

/// Returns whether a text of the setting has a password in it.
pub fn has_password(text: &str) -> bool {
    // A text that is no URL is a mistake, which may well be in the password.
    DatabaseUrl::parse(text).map_or_else(|_| text.contains('@'), |url| url.has_password())
}

/// Returns a text of the setting as it may be shown.
pub fn shown(text: &str) -> String {
    match DatabaseUrl::parse(text) {
        Ok(url) if url.has_password() => url.to_string().replacen('@', ":****@", 1),
        Ok(url) => url.to_string(),
        Err(_) if text.contains('@') => "****".to_owned(),
        Err(_) => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<Database, WrongValue> {
    if text.trim().eq_ignore_ascii_case(Database::SQLITE) {
        return Ok(Database::Sqlite);
    }
    let url = DatabaseUrl::parse(text);
    url.map(Database::Postgres).map_err(|fault| {
        let allowed = format!("allowed is {}, or {}", Database::SQLITE, DatabaseUrl::ALLOWED);
        WrongValue::new(fault.to_string(), allowed)
    })
}

/// Reads the password from its file, without the line break at its end that editors and `echo` add.
fn password_of(check: &mut Check<'_>, path: &Path) -> Option<Secret> {
    let shown = path.display();
    let content = match file::read(path) {
        Ok(content) => content,
        Err(error) => {
            mistake(check, format_args!("{shown} {error}"));
            return None;
        }
    };
    if content.exposed {
        warn(check, format_args!("{shown} can be read by others; chmod 600 it"));
    }
    let password = content.bytes.strip_suffix(b"\n").unwrap_or(&content.bytes);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    if password.is_empty() {
        mistake(check, format_args!("{shown} is empty; allowed is a file with the password"));
        return None;
    }
    Some(Secret::new(password.to_vec()))
}

/// Takes the password from the environment, if it is there.
fn with_password_of_environment(check: &Check<'_>, url: DatabaseUrl) -> DatabaseUrl {
    let password = check.surroundings.variable(PASSWORD_VARIABLE).filter(|password| !password.is_empty());
    match password {
        Some(password) => url.with_password(Secret::new(password.as_bytes().to_vec())),
        None => url,
    }
}

fn mistake(check: &mut Check<'_>, what: impl std::fmt::Display) {
    if let Some(given) = check.given.get(PASSWORD_FILE) {
        check.findings.mistake(&given.origin, PASSWORD_FILE, what);
    }
}

fn warn(check: &mut Check<'_>, what: impl std::fmt::Display) {
    if let Some(given) = check.given.get(PASSWORD_FILE) {
        check.findings.warning(&given.origin, PASSWORD_FILE, what);
    }
}
