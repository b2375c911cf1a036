//! Rows of the outbox: their schema, their writing, and their reading.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::{Change, OutboxContents, OutboxError, OutboxLocation};
use crate::report::outbox_entry::{
    DeadLetter, KillEntry, KillPhase, OutboxEntry, RunOrigin, Start, StoredEnd, ToldExtent,
};
use crate::run::{Attempt, KillId, RunId};
use crate::wire::disk::EndKind;

/// Most dead letters that are kept; the oldest are removed first.
pub const LETTERS_KEPT: usize = 100;
/// Age from which a dead letter is removed at the next start.
pub const LETTERS_KEPT_FOR: chrono::TimeDelta = chrono::TimeDelta::days(30);

/// Steps of the schema, one for each version. A file of an earlier version is migrated by the steps that it lacks.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE binding (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE run (
        run INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, losses INTEGER NOT NULL, token TEXT NOT NULL,
        run_log TEXT, start_pid INTEGER, start_at TEXT,
        end_how TEXT, end_output INTEGER, end_at TEXT
    ) STRICT;
    CREATE TABLE kill (kill INTEGER PRIMARY KEY, run INTEGER, phase TEXT NOT NULL) STRICT;
    CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, run INTEGER NOT NULL, what TEXT NOT NULL, reason TEXT NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE run ADD COLUMN claim INTEGER;
",
    // AUTOINCREMENT keeps the highest number for ever, so that a forgotten run's is not minted again.
    "
    CREATE TABLE origin (
        run INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, work TEXT NOT NULL,
        told_output INTEGER NOT NULL, told_journal INTEGER NOT NULL
    ) STRICT;
",
];

/// Migrates the schema to the latest version.
pub fn migrate(connection: &Connection, place: &OutboxLocation) -> Result<(), OutboxError> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    let version = version.map_err(|e| place.unopened(e))?;
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    if from > MIGRATIONS.len() {
        return Err(OutboxError::Newer { path: place.shown(), found: version, known: MIGRATIONS.len() });
    }
    for (step, schema) in MIGRATIONS.iter().enumerate().skip(from) {
        // One transaction a step, with its version, so that no crash leaves a step half done or done twice.
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {}; COMMIT;", step + 1);
        connection.execute_batch(&batch).map_err(|e| place.unopened(e))?;
    }
    Ok(())
}

/// Binds a new outbox to a server, or checks that it is bound to that server: run 12 of another server is another run.
pub fn bind(connection: &Connection, server: &str) -> Result<(), OutboxError> {
    let read = |e: rusqlite::Error| OutboxError::Read(e.into());
    let found: Option<String> = connection
        .query_row("SELECT value FROM binding WHERE name = 'api_base_url'", [], |row| row.get(0))
        .optional()
        .map_err(read)?;
    match found {
        Some(found) if found != server => Err(OutboxError::OtherServer { found, wanted: server.to_owned() }),
        Some(_) => Ok(()),
        None => connection.execute("INSERT INTO binding VALUES ('api_base_url', ?1)", [server]).map(drop).map_err(read),
    }
}

/// Reads all rows. A row that cannot be understood is skipped: its facts are in the record of its run or at the server.
pub fn read(connection: &Connection) -> rusqlite::Result<OutboxContents> {
    Ok(OutboxContents {
        runs: understood(connection, "SELECT * FROM run ORDER BY run", entry)?,
        kills: understood(connection, "SELECT * FROM kill ORDER BY kill", kill_entry)?,
        dead_letters: understood(connection, "SELECT * FROM dead_letter ORDER BY id", dead_letter)?,
        origins: understood(connection, "SELECT * FROM origin ORDER BY run", origin)?,
        last_minted: last_minted(connection)?,
    })
}

/// Returns the highest number that was ever minted, also of runs that are forgotten; 0 where none was.
fn last_minted(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'origin'";
    Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn understood<T>(connection: &Connection, sql: &str, read: fn(&Row<'_>) -> Option<T>) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok(read(row)))?;
    rows.filter_map(Result::transpose).collect()
}

/// Writes all changes or none, in their order and in one transaction.
pub fn commit(connection: &Connection, changes: &[&Change]) -> rusqlite::Result<()> {
    // What only waits for earlier changes needs no transaction.
    if changes.iter().all(|change| matches!(change, Change::Nothing)) {
        return Ok(());
    }
    execute(connection, "BEGIN IMMEDIATE", [])?;
    let written = changes.iter().try_for_each(|change| apply(connection, change));
    let committed = written.and_then(|()| execute(connection, "COMMIT", []));
    // After some errors, such as a full disk, SQLite has ended the transaction by itself.
    if committed.is_err() && !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK", []);
    }
    committed
}

fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(parameters).map(drop)
}

fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Nothing => Ok(()),
        Change::Run(entry) => write_run(connection, entry),
        Change::Accept(accepted) => {
            write_origin(connection, &accepted.1)?;
            write_run(connection, &accepted.0)
        }
        Change::Told(run, told) => execute(
            connection,
            "UPDATE origin SET told_output = ?2, told_journal = ?3 WHERE run = ?1",
            (run.get(), stored(told.output), stored(told.journal)),
        ),
        Change::ForgetRun(run) => {
            execute(connection, "DELETE FROM origin WHERE run = ?1", [run.get()])?;
            execute(connection, "DELETE FROM run WHERE run = ?1", [run.get()])
        }
        Change::Kill(entry) => execute(
            connection,
            "INSERT OR REPLACE INTO kill VALUES (?1, ?2, ?3)",
            (entry.kill.get(), entry.run.map(RunId::get), kill_phase_name(entry.phase)),
        ),
        Change::ForgetKill(kill) => execute(connection, "DELETE FROM kill WHERE kill = ?1", [kill.get()]),
        Change::DeadLetter(letter) => write_letter(connection, letter),
        Change::ForgetLetters(run) => execute(connection, "DELETE FROM dead_letter WHERE run = ?1", [run.get()]),
        Change::Letters { since } => execute(connection, "DELETE FROM dead_letter WHERE at < ?1", [since]),
        // Writes a page without changing a value.
        Change::Probe => execute(connection, "UPDATE binding SET value = value", []),
    }
}

fn write_run(connection: &Connection, entry: &OutboxEntry) -> rusqlite::Result<()> {
    let (start, end) = (entry.start.as_ref(), entry.end.as_ref());
    execute(
        connection,
        "INSERT OR REPLACE INTO run
             (run, attempt, losses, token, run_log, start_pid, start_at, end_how, end_output, end_at, claim)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        (
            entry.run.get(),
            entry.attempt.0,
            entry.losses,
            &entry.token,
            &entry.run_log,
            start.map(|start| start.pid),
            start.map(|start| &start.at),
            end.map(|end| serde_json::to_string(&EndKind::from(&end.outcome)).unwrap_or_default()),
            end.map(|end| stored(end.output)),
            end.map(|end| &end.at),
            entry.claim.map(|claim| claim.0),
        ),
    )
}

fn write_origin(connection: &Connection, origin: &RunOrigin) -> rusqlite::Result<()> {
    let RunOrigin { run, key, work, told } = origin;
    execute(
        connection,
        "INSERT INTO origin (run, key, work, told_output, told_journal) VALUES (?1, ?2, ?3, ?4, ?5)",
        (run.get(), key, work, stored(told.output), stored(told.journal)),
    )
}

/// Returns a number of bytes as SQLite keeps it.
fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn write_letter(connection: &Connection, letter: &DeadLetter) -> rusqlite::Result<()> {
    // Removed and inserted again, so that the newest letter has the highest id.
    execute(connection, "DELETE FROM dead_letter WHERE run = ?1 AND what = ?2", (letter.run.get(), &letter.what))?;
    execute(
        connection,
        "INSERT INTO dead_letter (at, run, what, reason) VALUES (?1, ?2, ?3, ?4)",
        (&letter.at, letter.run.get(), &letter.what, &letter.reason),
    )?;
    // By id, not by number of rows: gaps make it keep fewer letters, never more.
    execute(
        connection,
        "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?1",
        [i64::try_from(LETTERS_KEPT).unwrap_or(i64::MAX)],
    )
}

/// Returns a column, or `None` where its bytes are not of the expected type.
fn get<T: FromSql>(row: &Row<'_>, name: &str) -> Option<T> {
    row.get(name).ok()
}

fn entry(row: &Row<'_>) -> Option<OutboxEntry> {
    let start = match (get::<Option<i64>>(row, "start_pid")?, get::<Option<String>>(row, "start_at")?) {
        (Some(pid), Some(at)) => Some(Start { pid: i32::try_from(pid).ok()?, at }),
        _ => None,
    };
    let end = match (get::<Option<String>>(row, "end_how")?, get::<Option<String>>(row, "end_at")?) {
        (Some(how), Some(at)) => Some(StoredEnd {
            outcome: serde_json::from_str::<EndKind>(&how).ok()?.into(),
            output: u64::try_from(get::<Option<i64>>(row, "end_output")?.unwrap_or_default()).unwrap_or_default(),
            at,
        }),
        _ => None,
    };
    Some(OutboxEntry {
        run: RunId::new(get(row, "run")?)?,
        attempt: Attempt(u32::try_from(get::<i64>(row, "attempt")?).ok()?),
        claim: get::<Option<i64>>(row, "claim")?.and_then(|claim| u32::try_from(claim).ok()).map(Attempt),
        losses: u32::try_from(get::<i64>(row, "losses")?).ok()?,
        token: get(row, "token")?,
        run_log: get(row, "run_log")?,
        start,
        end,
    })
}

fn origin(row: &Row<'_>) -> Option<RunOrigin> {
    let bytes = |name| u64::try_from(get::<i64>(row, name)?).ok();
    Some(RunOrigin {
        run: RunId::new(get(row, "run")?)?,
        key: get(row, "key")?,
        work: get(row, "work")?,
        told: ToldExtent { output: bytes("told_output")?, journal: bytes("told_journal")? },
    })
}

fn kill_entry(row: &Row<'_>) -> Option<KillEntry> {
    Some(KillEntry {
        kill: KillId::new(get(row, "kill")?)?,
        run: get::<Option<i64>>(row, "run")?.and_then(RunId::new),
        phase: match get::<String>(row, "phase")?.as_str() {
            "received" => KillPhase::Received,
            "taken" => KillPhase::Taken,
            "dead" => KillPhase::Dead,
            _ => return None,
        },
    })
}

fn kill_phase_name(phase: KillPhase) -> &'static str {
    match phase {
        KillPhase::Received => "received",
        KillPhase::Taken => "taken",
        KillPhase::Dead => "dead",
    }
}

fn dead_letter(row: &Row<'_>) -> Option<DeadLetter> {
    Some(DeadLetter {
        at: get(row, "at")?,
        run: RunId::new(get(row, "run")?)?,
        what: get(row, "what")?,
        reason: get(row, "reason")?,
    })
}
