//! `job_runner migrate`: moves the SQLite store of a stopped server to PostgreSQL.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{DATA, Migrate as Args};
use super::exit::{CANNOT_CREATE, CommandFailure, FAILURE, NO_INPUT, OK, TEMPORARY, USAGE, print, say};
use crate::config::{Surroundings, load_server};
use crate::run::Secret;
use crate::server::data::{self, Data, DataError};
use crate::server::store::migrate::{
    MigrateError, MigrationOutcome, MigrationStage, MovedTable, TableProgress, back_to_sqlite, to_postgres,
};
use crate::server::{Database, DatabaseUrl};

/// Variable with the password of a database that is named on the command line.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// Bytes of a megabyte, as the progress shows it.
const MEGABYTE: f64 = 1e6;

pub fn run(args: &Args) -> Result<u8, CommandFailure> {
    // Before any secret is read: no core dump is written, and no other process of the user can read our memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let (data, url) = places(args)?;
    let file = data.join(data::DATABASE);
    // Taking the lock would create a directory that is missing.
    if !file.exists() {
        return Err(failure(&MigrateError::NoStore(file)));
    }
    let _lock = Data::take(&data).map_err(|e| match e {
        DataError::Taken(path) => {
            let what = format!("a server works in the data directory {}; stop it first", path.display());
            CommandFailure::new(TEMPORARY, what)
        }
        other => CommandFailure::of(CANNOT_CREATE, &other),
    })?;
    if args.back {
        return back(&file);
    }
    let url =
        url.ok_or_else(|| usage("no database is named: give --to postgres://…, or --config with the key database"))?;
    let outcome = to_postgres(&file, &url.expose(), &mut |progress| say(line(&progress)));
    let outcome = outcome.map_err(|e| failure(&e))?;
    print(&if args.json { json_of(&outcome, &file, &url) } else { text_of(&outcome, &file, &url) })?;
    Ok(OK)
}

/// Returns the data directory, and the database that is named.
fn places(args: &Args) -> Result<(PathBuf, Option<DatabaseUrl>), CommandFailure> {
    let to = args.to.as_deref().map(named_url).transpose()?;
    let Some(config) = &args.config else {
        return Ok((args.data.clone().unwrap_or_else(|| PathBuf::from(DATA)), to));
    };
    let loaded = load_server(config, &Surroundings::of_process())
        .map_err(|failure| CommandFailure::new(failure.exit.code(), failure.mistakes.join("\njob_runner: ")))?;
    loaded.warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
    let server = loaded.settings.server;
    let configured = match server.database {
        Database::Postgres(url) => Some(url),
        Database::Sqlite => None,
    };
    Ok((args.data.clone().unwrap_or(server.data), to.or(configured)))
}

/// Parses the URL of the command line, with the password of the environment where it has none.
fn named_url(text: &str) -> Result<DatabaseUrl, CommandFailure> {
    let url = DatabaseUrl::parse(text);
    let url = url.map_err(|e| usage(format_args!("--to {e}; allowed is {}", DatabaseUrl::ALLOWED)))?;
    let password = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty());
    Ok(match password {
        Some(password) if !url.has_password() => url.with_password(Secret::new(password.into_bytes())),
        _ => url,
    })
}

fn back(file: &Path) -> Result<u8, CommandFailure> {
    let moved = back_to_sqlite(file).map_err(|e| failure(&e))?;
    let file = file.display();
    print(&match moved {
        Some(place) => format!(
            "A server may start on {file} again, with database = sqlite. What has happened in {place} since is not in it.\n"
        ),
        None => format!("{file} was not moved; nothing was changed.\n"),
    })?;
    Ok(OK)
}

fn usage(message: impl Display) -> CommandFailure {
    CommandFailure::new(USAGE, message.to_string())
}

fn failure(error: &MigrateError) -> CommandFailure {
    let code = match error {
        MigrateError::NoStore(_) => NO_INPUT,
        MigrateError::Busy(_) => TEMPORARY,
        _ => FAILURE,
    };
    CommandFailure::of(code, error)
}

/// Writes how far a table is.
fn line(progress: &TableProgress<'_>) -> String {
    let done = match (progress.stage, progress.is_done) {
        (MigrationStage::Copy, true) => "copied",
        (MigrationStage::Copy, false) => "copying",
        (MigrationStage::Check, true) => "checked",
        (MigrationStage::Check, false) => "checking",
    };
    let megabytes = progress.bytes as f64 / MEGABYTE;
    let seconds = progress.elapsed.as_secs_f64();
    let rate = megabytes / seconds.max(1e-3);
    let TableProgress { table, rows, .. } = progress;
    format!("{done} {table}: {rows} rows, {megabytes:.1} MB in {seconds:.1} s ({rate:.0} MB/s)")
}

fn text_of(outcome: &MigrationOutcome, file: &Path, url: &DatabaseUrl) -> String {
    let file = file.display();
    let next = format!(
        "Start the server with database = {url} in its configuration. No server starts on the SQLite file any more; \
         `job_runner migrate --back` undoes that.\n"
    );
    match outcome {
        MigrationOutcome::Moved { tables, copied_in, checked_in } => {
            let (rows, bytes) = sums(tables);
            format!(
                "Moved {file} to {url}: {rows} rows in {} tables, {:.1} MB, copied in {:.1} s and compared in {:.1} s.\n{next}",
                tables.len(),
                bytes as f64 / MEGABYTE,
                copied_in.as_secs_f64(),
                checked_in.as_secs_f64(),
            )
        }
        MigrationOutcome::AlreadyMoved => format!("{file} was moved to {url} before; nothing was changed.\n{next}"),
    }
}

fn json_of(outcome: &MigrationOutcome, file: &Path, url: &DatabaseUrl) -> String {
    let (file, url) = (file.display().to_string(), url.to_string());
    let value = match outcome {
        MigrationOutcome::Moved { tables, copied_in, checked_in } => {
            let (rows, bytes) = sums(tables);
            let tables: Vec<_> = tables
                .iter()
                .map(|table| json!({"table": table.table, "rows": table.rows, "bytes": table.bytes}))
                .collect();
            json!({
                "outcome": "moved", "from": file, "to": url, "rows": rows, "bytes": bytes, "tables": tables,
                "copied_in_s": copied_in.as_secs_f64(), "checked_in_s": checked_in.as_secs_f64(),
            })
        }
        MigrationOutcome::AlreadyMoved => json!({"outcome": "already_moved", "from": file, "to": url}),
    };
    format!("{value}\n")
}

fn sums(tables: &[MovedTable]) -> (u64, u64) {
    tables.iter().fold((0, 0), |(rows, bytes), table| (rows + table.rows, bytes + table.bytes))
}
