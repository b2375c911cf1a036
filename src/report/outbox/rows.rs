//! Rows of the outbox: their schema, their writing, and their reading.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::batch::Batch;
use super::{Change, OutboxContents, OutboxError};
use crate::report::outbox_entry::{DeadLetter, KillEntry, KillPhase, OutboxEntry, Start, StoredEnd};
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
];

/// Migrates the schema to the latest version.
pub async fn migrate(connection: &mut SqliteConnection, path: &str) -> Result<(), OutboxError> {
    let opened = |source| OutboxError::Open { path: path.to_owned(), source };
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(opened)?;
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    if from > MIGRATIONS.len() {
        return Err(OutboxError::Newer { path: path.to_owned(), found: version, known: MIGRATIONS.len() });
    }
    for (step, schema) in MIGRATIONS.iter().enumerate().skip(from) {
        // One transaction a step, with its version, so that no crash leaves a step half done or done twice.
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {}; COMMIT;", step + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(batch)).execute(&mut *connection).await.map_err(opened)?;
    }
    Ok(())
}

/// Binds a new outbox to a server, or checks that it is bound to that server: run 12 of another server is another run.
pub async fn bind(connection: &mut SqliteConnection, server: &str) -> Result<(), OutboxError> {
    let found: Option<String> = sqlx::query_scalar("SELECT value FROM binding WHERE name = 'api_base_url'")
        .fetch_optional(&mut *connection)
        .await
        .map_err(OutboxError::Read)?;
    match found {
        Some(found) if found != server => Err(OutboxError::OtherServer { found, wanted: server.to_owned() }),
        Some(_) => Ok(()),
        None => sqlx::query("INSERT INTO binding VALUES ('api_base_url', ?)")
            .bind(server)
            .execute(connection)
            .await
            .map(drop)
            .map_err(OutboxError::Read),
    }
}

/// Reads all rows. A row that cannot be understood is skipped: its facts are in the record of its run or at the server.
pub async fn read(connection: &mut SqliteConnection) -> Result<OutboxContents, sqlx::Error> {
    let runs = sqlx::query("SELECT * FROM run ORDER BY run").fetch_all(&mut *connection).await?;
    let kills = sqlx::query("SELECT * FROM kill ORDER BY kill").fetch_all(&mut *connection).await?;
    let letters = sqlx::query("SELECT * FROM dead_letter ORDER BY id").fetch_all(&mut *connection).await?;
    Ok(OutboxContents {
        runs: runs.iter().filter_map(entry).collect(),
        kills: kills.iter().filter_map(kill_entry).collect(),
        dead_letters: letters.iter().filter_map(dead_letter).collect(),
    })
}

/// Statement that writes runs; its parameter is a JSON array of rows, each an array in the order of the columns.
const WRITE: &str = "
    INSERT OR REPLACE INTO run
        (run, attempt, losses, token, run_log, start_pid, start_at, end_how, end_output, end_at, claim)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10
    FROM json_each(?1);
";
/// Statement that removes runs; its parameter is a JSON array of run numbers.
const FORGET: &str = "DELETE FROM run WHERE run IN (SELECT value FROM json_each(?1));";
/// Statements that write runs and remove others in one transaction.
const WRITE_AND_FORGET: &str = "
    BEGIN;
    INSERT OR REPLACE INTO run
        (run, attempt, losses, token, run_log, start_pid, start_at, end_how, end_output, end_at, claim)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10
    FROM json_each(?1);
    DELETE FROM run WHERE run IN (SELECT value FROM json_each(?2));
    COMMIT;
";

/// Writes all changes or none, in one query where they are all about runs: SQLite runs in a thread of its own, and each
/// query costs one way there and back.
pub async fn commit(connection: &mut SqliteConnection, changes: &[&Change]) -> Result<(), sqlx::Error> {
    let Some(Batch { written, gone }) = Batch::of(changes) else { return commit_each(connection, changes).await };
    let gone: Vec<i64> = gone.into_iter().map(RunId::get).collect();
    let (rows, runs) = (json(&written.into_iter().map(row).collect::<Vec<_>>()), json(&gone));
    let query = match (&rows, &runs) {
        (None, None) => return Ok(()),
        (Some(rows), None) => sqlx::query(WRITE).bind(rows),
        (None, Some(runs)) => sqlx::query(FORGET).bind(runs),
        (Some(rows), Some(runs)) => sqlx::query(WRITE_AND_FORGET).bind(rows).bind(runs),
    };
    let done = query.execute(&mut *connection).await.map(drop);
    if done.is_err() && rows.is_some() && runs.is_some() {
        // Has no effect where the transaction did not begin or is already over.
        let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    }
    done
}

fn json<T: serde::Serialize>(rows: &[T]) -> Option<String> {
    (!rows.is_empty()).then(|| serde_json::to_string(rows).unwrap_or_default())
}

/// Returns the columns of a run, in the order of the statement.
fn row(entry: &OutboxEntry) -> impl serde::Serialize {
    let (start, end) = (entry.start.as_ref(), entry.end.as_ref());
    (
        entry.run.get(),
        entry.attempt.0,
        entry.losses,
        entry.token.clone(),
        entry.run_log.clone(),
        start.map(|start| start.pid),
        start.map(|start| start.at.clone()),
        end.map(|end| serde_json::to_string(&EndKind::from(&end.outcome)).unwrap_or_default()),
        end.map(|end| i64::try_from(end.output).unwrap_or(i64::MAX)),
        end.map(|end| end.at.clone()),
        entry.claim.map(|claim| claim.0),
    )
}

async fn commit_each(connection: &mut SqliteConnection, changes: &[&Change]) -> Result<(), sqlx::Error> {
    // A single statement is a transaction by itself; a dead letter takes three.
    if let [only] = changes
        && !matches!(only, Change::DeadLetter(_))
    {
        return apply(connection, only).await;
    }
    let mut transaction = connection.begin().await?;
    for change in changes {
        apply(&mut transaction, change).await?;
    }
    transaction.commit().await
}

async fn apply(connection: &mut SqliteConnection, change: &Change) -> Result<(), sqlx::Error> {
    let query = match change {
        Change::Nothing => return Ok(()),
        Change::Run(entry) => sqlx::query(WRITE).bind(json(&[row(entry)])),
        Change::ForgetRun(run) => sqlx::query("DELETE FROM run WHERE run = ?").bind(run.get()),
        Change::Kill(entry) => sqlx::query("INSERT OR REPLACE INTO kill VALUES (?, ?, ?)")
            .bind(entry.kill.get())
            .bind(entry.run.map(RunId::get))
            .bind(kill_phase_name(entry.phase)),
        Change::ForgetKill(kill) => sqlx::query("DELETE FROM kill WHERE kill = ?").bind(kill.get()),
        Change::ForgetLetters(run) => sqlx::query("DELETE FROM dead_letter WHERE run = ?").bind(run.get()),
        Change::DeadLetter(letter) => {
            // Removed and inserted again, so that the newest letter has the highest id.
            sqlx::query("DELETE FROM dead_letter WHERE run = ? AND what = ?")
                .bind(letter.run.get())
                .bind(&letter.what)
                .execute(&mut *connection)
                .await?;
            sqlx::query("INSERT INTO dead_letter (at, run, what, reason) VALUES (?, ?, ?, ?)")
                .bind(&letter.at)
                .bind(letter.run.get())
                .bind(&letter.what)
                .bind(&letter.reason)
                .execute(&mut *connection)
                .await?;
            // By id, not by number of rows: gaps make it keep fewer letters, never more.
            sqlx::query("DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?")
                .bind(i64::try_from(LETTERS_KEPT).unwrap_or(i64::MAX))
        }
        Change::Letters { since } => sqlx::query("DELETE FROM dead_letter WHERE at < ?").bind(since),
        // Writes a page without changing a value.
        Change::Probe => sqlx::query("UPDATE binding SET value = value"),
    };
    query.execute(connection).await.map(drop)
}

/// Returns a column, or `None` where its bytes are not of the expected type.
fn get<'r, T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(row: &'r SqliteRow, name: &str) -> Option<T> {
    row.try_get(name).ok()
}

fn entry(row: &SqliteRow) -> Option<OutboxEntry> {
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

fn kill_entry(row: &SqliteRow) -> Option<KillEntry> {
    Some(KillEntry {
        kill: KillId::new(get(row, "kill")?)?,
        run: get::<Option<i64>>(row, "run")?.and_then(RunId::new),
        phase: match get(row, "phase")? {
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

fn dead_letter(row: &SqliteRow) -> Option<DeadLetter> {
    Some(DeadLetter {
        at: get(row, "at")?,
        run: RunId::new(get(row, "run")?)?,
        what: get(row, "what")?,
        reason: get(row, "reason")?,
    })
}
