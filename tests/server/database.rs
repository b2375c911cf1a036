//! The database of a server under test, looked at and written past the server, on either engine. With
//! `JOB_RUNNER_TEST_DATABASE=postgres`, the servers of the suite keep their data in PostgreSQL, each in a database of its
//! own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use jobrunner::server::{Database, DatabaseUrl};
use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use tokio::runtime::Runtime;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Row};

use crate::skip::skip;
use crate::sqlite;
use crate::test_database::TestDatabase;

/// The file of a folder of data that says in which database of PostgreSQL the rows are.
const URL_FILE: &str = "database_url";

/// Whether the suite runs on PostgreSQL.
pub fn on_postgres() -> bool {
    match std::env::var("JOB_RUNNER_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Err(_) | Ok("sqlite") => false,
        Ok(other) => panic!("JOB_RUNNER_TEST_DATABASE is {other:?}; sqlite and postgres are allowed"),
    }
}

/// Whether a test is passed over, because it is about SQLite alone; says so.
pub fn is_only_sqlite(what: &str) -> bool {
    if on_postgres() {
        skip(&format!("{what}: a matter of SQLite"));
    }
    on_postgres()
}

/// A new database of PostgreSQL, if the suite runs on it.
pub fn fresh() -> Option<TestDatabase> {
    on_postgres().then(|| TestDatabase::fresh().expect("a PostgreSQL, because JOB_RUNNER_TEST_DATABASE asks for it"))
}

/// Leaves word for [`Store::of`] and [`setting`] that the rows of this data are in PostgreSQL.
pub fn note(data: &Path, database: &Database) {
    if let Database::Postgres(url) = database {
        fs::create_dir_all(data).expect("the folder of the data");
        fs::write(data.join(URL_FILE), url.expose().as_bytes()).expect("a file");
    }
}

/// The setting `database` of a server with this data.
pub fn setting(data: &Path) -> String {
    fs::read_to_string(data.join(URL_FILE)).unwrap_or_else(|_| Database::SQLITE.to_owned())
}

/// The database with the rows of a server.
#[derive(Clone)]
pub enum Store {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Store {
    /// That of a server with this data, whose settings may have gone with it.
    pub fn of(data: &Path) -> Self {
        match fs::read_to_string(data.join(URL_FILE)) {
            Ok(url) => Self::Postgres(url),
            Err(_) => Self::Sqlite(data.join("job_runner.sqlite")),
        }
    }

    pub fn connect(&self) -> Session {
        match self {
            Self::Sqlite(file) => Session::Sqlite(sqlite::connect(file).expect("the store")),
            Self::Postgres(url) => Session::Postgres(Postgres::connect(url)),
        }
    }
}

/// The database that settings name.
pub fn store_of(data: &Path, database: &Database) -> Store {
    match database {
        Database::Sqlite => Store::Sqlite(data.join("job_runner.sqlite")),
        Database::Postgres(url) => Store::Postgres(url.expose().to_string()),
    }
}

/// The setting that names a database of a test.
pub fn database_of(fresh: Option<&TestDatabase>) -> Database {
    fresh.map_or(Database::Sqlite, |fresh| Database::Postgres(DatabaseUrl::parse(fresh.url()).expect("a URL")))
}

/// A connection. In SQLite, no reader waits for a writer, and in PostgreSQL neither.
pub enum Session {
    Sqlite(Connection),
    Postgres(Postgres),
}

impl Session {
    /// Executes a statement with `?` for its values, and returns the number of rows that it changed.
    pub fn execute(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> u64 {
        let values: Vec<Value> = values.into_iter().collect();
        match self {
            Self::Sqlite(connection) => {
                let changed = connection.execute(sql, params_from_iter(&values));
                changed.unwrap_or_else(|e| panic!("{sql}: {e}")) as u64
            }
            Self::Postgres(postgres) => postgres.execute(sql, &values),
        }
    }

    /// Executes statements without values. Where they give ids, new rows get later ones in PostgreSQL, too.
    pub fn batch(&self, sql: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}")),
            Self::Postgres(postgres) => {
                postgres.batch(sql);
                postgres.renumber();
            }
        }
    }

    /// The first column of all rows of a query.
    pub fn values<T: FromSql>(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Vec<T> {
        let values: Vec<Value> = values.into_iter().collect();
        let read = |value: ValueRef<'_>| T::column_result(value).unwrap_or_else(|e| panic!("{sql}: {e}"));
        match self {
            Self::Sqlite(connection) => {
                let mut query = connection.prepare(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
                let rows = query.query_map(params_from_iter(&values), |row| Ok(read(row.get_ref(0)?)));
                rows.and_then(Iterator::collect).unwrap_or_else(|e| panic!("{sql}: {e}"))
            }
            Self::Postgres(postgres) => {
                postgres.rows(sql, &values).iter().map(|row| read((&cell(row)).into())).collect()
            }
        }
    }

    /// The first column of the only row of a query.
    pub fn value<T: FromSql>(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> T {
        self.values(sql, values).pop().unwrap_or_else(|| panic!("{sql}: no row"))
    }

    /// Writes rows that may refer to others which do not exist, all in one transaction.
    pub fn seed(&self, insert: impl FnOnce(&Self)) {
        match self {
            Self::Sqlite(_) => self.batch("PRAGMA foreign_keys = OFF; BEGIN"),
            Self::Postgres(postgres) => postgres.batch("BEGIN; SET LOCAL session_replication_role = replica"),
        }
        insert(self);
        self.batch("COMMIT");
    }
}

/// A connection to PostgreSQL, which waits for each answer.
pub struct Postgres {
    runtime: Option<Runtime>,
    client: Client,
}

impl Postgres {
    fn connect(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connecting = tokio_postgres::connect(url, NoTls);
        let (client, connection) = aside(|| runtime.block_on(connecting)).expect("PostgreSQL");
        runtime.spawn(connection);
        Self { runtime: Some(runtime), client }
    }

    fn wait<T: Send>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>> + Send, sql: &str) -> T {
        let runtime = self.runtime.as_ref().expect("it goes on");
        aside(|| runtime.block_on(work)).unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    fn execute(&self, sql: &str, values: &[Value]) -> u64 {
        let bound = values.iter().map(Bound);
        self.wait(async { self.client.execute_raw(&numbered(sql), bound).await }, sql)
    }

    fn rows(&self, sql: &str, values: &[Value]) -> Vec<Row> {
        let bound: Vec<Bound> = values.iter().map(Bound).collect();
        let bound: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|value| value as _).collect();
        self.wait(async { self.client.query(&numbered(sql), &bound).await }, sql)
    }

    fn batch(&self, sql: &str) {
        self.wait(self.client.batch_execute(sql), sql);
    }

    /// Lets the ids that PostgreSQL gives follow those that there are.
    fn renumber(&self) {
        self.batch(
            "DO $$ DECLARE t text; BEGIN
                FOR t IN SELECT table_name FROM information_schema.columns
                    WHERE table_schema = 'public' AND column_name = 'id' AND is_identity = 'YES' LOOP
                    EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, ''id''), greatest(
                        (SELECT coalesce(max(id), 0) FROM %I) + 1,
                        nextval(pg_get_serial_sequence(%L, ''id''))), false)', t, t, t);
                END LOOP; END $$",
        );
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits on a thread of its own, because the runtime of a test may not be blocked by another.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
}

/// The statement with PostgreSQL's names for its values.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.zip(1..).fold(first, |sql, (part, number)| format!("{sql}${number}{part}"))
}

/// The first column of a row.
fn cell(row: &Row) -> Value {
    match *row.columns()[0].type_() {
        Type::INT8 => row.get::<_, Option<i64>>(0).into(),
        Type::INT4 => row.get::<_, Option<i32>>(0).into(),
        Type::BOOL => row.get::<_, Option<bool>>(0).into(),
        Type::TEXT => row.get::<_, Option<String>>(0).into(),
        Type::BYTEA => row.get::<_, Option<Vec<u8>>>(0).into(),
        ref other => panic!("a column of type {other}"),
    }
}

/// A value in its text form, which every type reads.
#[derive(Debug)]
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Real(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Blob(bytes) => {
                out.extend_from_slice(b"\\x");
                bytes.iter().for_each(|byte| out.extend_from_slice(format!("{byte:02x}").as_bytes()));
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
