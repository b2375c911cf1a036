//! Lists of resources for the REST API: restricted to what the client may see, filtered, in the original's order, page
//! by page.

use std::collections::BTreeMap;

use super::db::{DbRow, FromValue, Reading, Statement};
use super::log_chunks::{Extent, extent};
use super::values::NO_LIMIT;
use super::{Store, StoreError, rows};
use crate::run::RunId;
use crate::server::domain::model::{
    GroupId, Job, JobId, KillRequest, LogId, Pool, PoolId, Project, ProjectId, Run, Template, Timestamp, UserGroup,
    Worker, WorkerId,
};
use crate::server::domain::resource::Resource;

/// Restricts a list to what the client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All resources, for the operator.
    All,
    /// Resources of this worker's pools and of their projects.
    Worker(WorkerId),
}

/// A query for a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListQuery {
    /// Restriction to what the client may see.
    pub scope: Scope,
    /// Filters that each row must match, all of them.
    pub terms: Vec<Term>,
    /// Rows at most; `None` for all.
    pub limit: Option<u32>,
    /// Rows that are skipped before the first.
    pub offset: u64,
}

/// A filter that each row must match.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A field must pass a test, reached over related resources.
    Field {
        /// Foreign keys from the listed resource to the one with the field, each with the resource that it leads to.
        over: Vec<(&'static str, Resource)>,
        /// Column of the last resource.
        field: String,
        /// Test that the column must pass.
        test: Test,
    },
    /// The row belongs to this project; without effect on groups, projects, logs and kill requests.
    OfProject(i64),
    /// The run belongs to the last completed schedule id of its job.
    LastCompleted,
}

/// A test of a column's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The value is null, or is not.
    IsNull(bool),
    /// The value is compared to another one.
    Compared(Comparison, FilterValue),
    /// The value is one of these.
    In(Vec<FilterValue>),
    /// The value lies between two, both included.
    Between(FilterValue, FilterValue),
    /// The text matches a pattern.
    Matches(Pattern),
    /// A part of a timestamp in UTC equals a number.
    Part(DatePart, i64),
}

/// Comparison of a column's value, on the left, with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Both are the same.
    Equal,
    /// The column's value is the smaller one.
    Less,
    /// The column's value is the smaller one, or both are the same.
    LessOrEqual,
    /// The column's value is the greater one.
    Greater,
    /// The column's value is the greater one, or both are the same.
    GreaterOrEqual,
}

impl Comparison {
    fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Part of a timestamp that is compared by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    /// Year, with its century.
    Year,
    /// Month of the year, from 1.
    Month,
    /// Day of the month, from 1.
    Day,
    /// Day of the week, from 0 for Sunday.
    Weekday,
}

impl DatePart {
    /// Returns the format of SQLite's `strftime`.
    fn format(self) -> &'static str {
        match self {
            Self::Year => "%Y",
            Self::Month => "%m",
            Self::Day => "%d",
            Self::Weekday => "%w",
        }
    }
}

/// Place of a text in a column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextPlace {
    /// The text is the whole value.
    Whole,
    /// The text is anywhere in the value.
    Anywhere,
    /// The value begins with the text.
    Start,
    /// The value ends with the text.
    End,
}

/// Longest pattern in bytes, which is SQLite's own limit for `LIKE`.
pub const MAX_PATTERN: usize = 50_000;

/// Pattern of `LIKE` in lower case, with a backslash as escape. The case of ASCII letters is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Looks for a text in a place. `None` if the pattern has more than [`MAX_PATTERN`] bytes; `%`, `_` and `\` take two.
    #[must_use]
    pub fn new(place: TextPlace, text: &str) -> Option<Self> {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let pattern = match place {
            TextPlace::Whole => escaped,
            TextPlace::Anywhere => format!("%{escaped}%"),
            TextPlace::Start => format!("{escaped}%"),
            TextPlace::End => format!("%{escaped}"),
        };
        (pattern.len() <= MAX_PATTERN).then(|| Self(pattern.to_ascii_lowercase()))
    }
}

/// A value that a column is compared to.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterValue {
    /// A number, or a truth value as 0 or 1.
    Number(i64),
    /// A text, compared byte by byte.
    Text(String),
    /// A timestamp, compared as microseconds.
    Time(Timestamp),
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage<T> {
    /// Rows that match in all, on every page.
    pub total: u64,
    /// Rows of this page, in order.
    pub things: Vec<T>,
    /// Whether the page ended at [`PAGE_BYTES`], though more rows were asked for and exist.
    pub full: bool,
}

/// Bytes of text on one page at most; a single longer row still makes a page.
pub const PAGE_BYTES: i64 = 4 * 1024 * 1024;

/// SQL expression for the bytes of text that a row contributes to a page.
fn weight(resource: Resource) -> &'static str {
    match resource {
        Resource::RunLog => "coalesce(run_log.bytes, 0)",
        Resource::Job => {
            "CAST(octet_length(script_content) AS BIGINT) + octet_length(script_content_partial)
             + octet_length(description) + octet_length(notification_addresses)"
        }
        // The body is not part of the answer, but it is read from the database all the same.
        Resource::JobTemplate => "CAST(octet_length(description) AS BIGINT) + octet_length(body)",
        Resource::Project | Resource::Worker | Resource::WorkerPool => "octet_length(description)",
        // The rows of these resources have no long texts.
        Resource::Group | Resource::Run | Resource::KillRequest => "0",
    }
}

/// Resources that a project links to.
#[derive(Clone, Debug)]
pub struct ProjectLinks {
    /// Pools that may work for the project.
    pub pools: Vec<PoolId>,
    /// Groups whose members may change the project.
    pub groups: Vec<GroupId>,
}

/// Log of a run, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Run that the log belongs to.
    pub run: RunId,
    /// Length of the log and its revision.
    pub extent: Extent,
}

fn table(resource: Resource) -> &'static str {
    match resource {
        Resource::Group => "auth_group",
        _ => resource.name(),
    }
}

/// Relation that makes a resource visible to a worker: a column of the resource, and the rows that it must be among.
struct Visibility {
    /// Column of the resource.
    column: &'static str,
    /// Column that equals it in a row of `rows`.
    key: &'static str,
    /// Tables of the rows; the worker is `pool_worker.worker`.
    rows: &'static str,
    /// Further condition on the rows, with its `AND`.
    only: &'static str,
}

impl Visibility {
    /// Restricts a list: gathers what the worker may see once, and finds the rows by it.
    fn of_list(&self, query: &mut Statement, worker: WorkerId) {
        let Self { column, key, rows, only } = self;
        query.push(&format!("{column} IN (SELECT {key} FROM {rows} WHERE pool_worker.worker = "));
        query.bind(&worker).push(&format!("{only})"));
    }

    /// Tests one row: follows its keys. To gather all that the worker may see would cost more with every job and run.
    fn of_row(&self, query: &mut Statement, worker: WorkerId) {
        let Self { column, key, rows, only } = self;
        query.push(&format!("EXISTS (SELECT 1 FROM {rows} WHERE {key} = {column} AND pool_worker.worker = "));
        query.bind(&worker).push(&format!("{only})"));
    }
}

/// Returns what a worker may see of a resource; `None` for workers, of which each sees itself alone.
fn visibility(resource: Resource) -> Option<Visibility> {
    let all = |column, key, rows| Visibility { column, key, rows, only: "" };
    Some(match resource {
        Resource::Worker => return None,
        Resource::WorkerPool => all("worker_pool.id", "pool_worker.pool", "pool_worker"),
        Resource::Project => all("project.id", "project_pool.project", "project_pool JOIN pool_worker USING (pool)"),
        Resource::Group => Visibility {
            column: "auth_group.id",
            key: "project_group.auth_group",
            rows: "project_group JOIN project_pool USING (project) JOIN pool_worker USING (pool)",
            only: " AND project_group.admin = 0",
        },
        Resource::JobTemplate => {
            all("job_template.project", "project_pool.project", "project_pool JOIN pool_worker USING (pool)")
        }
        Resource::Job => all(
            "job.job_template",
            "job_template.id",
            "job_template JOIN project_pool USING (project) JOIN pool_worker USING (pool)",
        ),
        Resource::Run => all(
            "run.job",
            "job.id",
            "job JOIN job_template ON job_template.id = job.job_template
             JOIN project_pool USING (project) JOIN pool_worker USING (pool)",
        ),
        Resource::RunLog => all(
            "run_log.run",
            "run.id",
            "run JOIN job ON job.id = run.job JOIN pool_worker ON pool_worker.pool = job.worker_pool",
        ),
        Resource::KillRequest => all(
            "kill_request.run",
            "run.id",
            "run JOIN job ON job.id = run.job JOIN pool_worker ON pool_worker.pool = job.worker_pool",
        ),
    })
}

/// SQL condition for what belongs to a project; ends where its one parameter, the project's id, is to be bound.
fn of_project(resource: Resource) -> Option<&'static str> {
    Some(match resource {
        Resource::WorkerPool => "worker_pool.id IN (SELECT pool FROM project_pool WHERE project = ",
        Resource::Worker => {
            "worker.id IN (SELECT worker FROM pool_worker JOIN project_pool USING (pool) WHERE project = "
        }
        Resource::JobTemplate => "job_template.id IN (SELECT id FROM job_template WHERE project = ",
        Resource::Job => "job.job_template IN (SELECT id FROM job_template WHERE project = ",
        Resource::Run => {
            "run.job IN (SELECT job.id FROM job JOIN job_template ON job_template.id = job.job_template WHERE project = "
        }
        Resource::Group | Resource::Project | Resource::RunLog | Resource::KillRequest => return None,
    })
}

/// SQL order of a resource: the original's, made total by the id.
fn order(resource: Resource) -> &'static str {
    match resource {
        Resource::Group => "auth_group.id",
        Resource::KillRequest => "kill_request.id",
        Resource::Project => "project.title, project.id",
        Resource::Worker => "worker.title, worker.id",
        Resource::WorkerPool => "worker_pool.title, worker_pool.id",
        Resource::JobTemplate => {
            "(SELECT title FROM project WHERE id = job_template.project), job_template.title, job_template.id"
        }
        Resource::Job => {
            "(SELECT project.title FROM project JOIN job_template t ON t.project = project.id WHERE t.id = job.job_template),
             (SELECT title FROM job_template WHERE id = job.job_template), job.title, job.id"
        }
        Resource::Run => {
            "run.return_dts DESC NULLS LAST, run.start_dts DESC NULLS LAST, run.enqueue_dts DESC NULLS LAST,
             run.schedule_dts, run.id"
        },
        Resource::RunLog => {
            "(SELECT return_dts FROM run WHERE id = run_log.run) NULLS FIRST,
             (SELECT start_dts FROM run WHERE id = run_log.run) NULLS FIRST,
             (SELECT enqueue_dts FROM run WHERE id = run_log.run) NULLS FIRST,
             (SELECT schedule_dts FROM run WHERE id = run_log.run) DESC, run_log.id"
        }
    }
}

fn narrow(query: &mut Statement, resource: Resource, ask: &ListQuery) {
    query.push(" WHERE TRUE");
    if let Scope::Worker(worker) = ask.scope {
        query.push(" AND ");
        match visibility(resource) {
            Some(visibility) => visibility.of_list(query, worker),
            None => {
                query.push("worker.id = ").bind(&worker);
            }
        }
    }
    for term in &ask.terms {
        match term {
            Term::OfProject(project) => {
                if let Some(sql) = of_project(resource) {
                    condition(query, sql, *project);
                }
            }
            Term::LastCompleted => {
                query.push(
                    " AND run.schedule_id IN
                     (SELECT last_completed_schedule_id FROM job WHERE last_completed_schedule_id IS NOT NULL)",
                );
            }
            Term::Field { over, field, test } => {
                query.push(" AND ");
                let mut here = resource;
                for (step, there) in over {
                    // A null key leads to no resource: what is sought there is null, and passes no other test.
                    let nowhere = if *test == Test::IsNull(true) { "IS NULL OR" } else { "IS NOT NULL AND" };
                    let (from, to) = (table(here), table(*there));
                    query.push(&format!("({from}.{step} {nowhere} {from}.{step} IN (SELECT id FROM {to} WHERE "));
                    here = *there;
                }
                tested(query, &format!("{}.{field}", table(here)), test);
                // Each step has opened a group and a subselect.
                query.push(&"))".repeat(over.len()));
            }
        }
    }
}

/// Adds a condition that ends with its parameter, and closes the parenthesis that it opened.
fn condition(query: &mut Statement, sql: &'static str, parameter: i64) {
    query.push(" AND ").push(sql).bind(&parameter);
    if sql.contains('(') {
        query.push(")");
    }
}

fn tested(query: &mut Statement, column: &str, test: &Test) {
    match test {
        Test::IsNull(true) => {
            query.push(&format!("{column} IS NULL"));
        }
        Test::IsNull(false) => {
            query.push(&format!("{column} IS NOT NULL"));
        }
        Test::Compared(comparison, value) => {
            query.push(&format!("{column} {} ", comparison.operator()));
            bind(query, value);
        }
        Test::In(values) => {
            query.push(&format!("{column} IN ("));
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    query.push(", ");
                }
                bind(query, value);
            }
            query.push(")");
        }
        Test::Between(from, to) => {
            query.push(&format!("{column} BETWEEN "));
            bind(query, from);
            query.push(" AND ");
            bind(query, to);
        }
        Test::Matches(Pattern(pattern)) => {
            query.push(&format!("lower(CAST({column} AS TEXT)) LIKE ")).bind(pattern).push(" ESCAPE '\\'");
        }
        Test::Part(part, number) => {
            query
                .push(&format!("CAST(strftime('{}', {column} / 1000000, 'unixepoch') AS BIGINT) = ", part.format()))
                .bind(number);
        }
    }
}

fn bind(query: &mut Statement, value: &FilterValue) {
    match value {
        FilterValue::Number(number) => query.bind(number),
        FilterValue::Text(text) => query.bind(text),
        FilterValue::Time(at) => query.bind(at),
    };
}

impl Store {
    /// Returns whether a resource may be seen; `None` if it does not exist.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn sees(&self, resource: Resource, id: i64, scope: Scope) -> Result<Option<bool>, StoreError> {
        self.read_short(move |reading| sees(reading, resource, id, scope)).await
    }

    /// Reads a list: of one entity on the thread of the caller, any other one beside it.
    async fn list<T: Send + 'static>(
        &self,
        ask: &ListQuery,
        read: impl FnOnce(&Reading<'_>, &ListQuery) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ask = ask.clone();
        if is_of_one(&ask) {
            return self.read_short(move |reading| read(reading, &ask)).await;
        }
        self.read(move |reading| read(reading, &ask)).await
    }

    /// Lists groups of users.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn groups(&self, ask: &ListQuery) -> Result<ListPage<UserGroup>, StoreError> {
        let group = |row: &DbRow<'_>| Ok(UserGroup { id: row.get("id")?, name: row.get("name")? });
        self.list(ask, move |reading, ask| select(reading, Resource::Group, ask, group)).await
    }

    /// Lists projects with the pools and groups that they link to.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn projects(&self, ask: &ListQuery) -> Result<ListPage<(Project, ProjectLinks)>, StoreError> {
        let pools = "SELECT project, worker_pool.id FROM worker_pool JOIN project_pool ON pool = worker_pool.id
                     WHERE project IN (SELECT value FROM json_each(?)) ORDER BY title, worker_pool.id";
        let groups = "SELECT project, auth_group FROM project_group
                      WHERE project IN (SELECT value FROM json_each(?)) AND admin = 1 ORDER BY auth_group";
        self.list(ask, move |reading, ask| {
            let page = select(reading, Resource::Project, ask, rows::project)?;
            let ids: Vec<i64> = page.things.iter().map(|project| project.id.get()).collect();
            let mut pools = related::<ProjectId, _>(reading, pools, &ids)?;
            let mut groups = related::<ProjectId, _>(reading, groups, &ids)?;
            Ok(page.with(|project| ProjectLinks {
                pools: pools.remove(&project.id).unwrap_or_default(),
                groups: groups.remove(&project.id).unwrap_or_default(),
            }))
        })
        .await
    }

    /// Lists pools with their workers.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn pools(&self, ask: &ListQuery) -> Result<ListPage<(Pool, Vec<WorkerId>)>, StoreError> {
        let workers = "SELECT pool, worker.id FROM worker JOIN pool_worker ON worker = worker.id
                       WHERE pool IN (SELECT value FROM json_each(?)) ORDER BY title, worker.id";
        self.list(ask, move |reading, ask| {
            let page = select(reading, Resource::WorkerPool, ask, rows::pool)?;
            let ids: Vec<i64> = page.things.iter().map(|pool| pool.id.get()).collect();
            let mut workers = related::<PoolId, _>(reading, workers, &ids)?;
            Ok(page.with(|pool| workers.remove(&pool.id).unwrap_or_default()))
        })
        .await
    }

    /// Lists workers by their titles.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn workers(&self, ask: &ListQuery) -> Result<ListPage<Worker>, StoreError> {
        self.list(ask, |reading, ask| select(reading, Resource::Worker, ask, rows::worker)).await
    }

    /// Lists templates by project and title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn templates(&self, ask: &ListQuery) -> Result<ListPage<Template>, StoreError> {
        self.list(ask, |reading, ask| select(reading, Resource::JobTemplate, ask, rows::template)).await
    }

    /// Lists jobs with their children and without their excludes.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs(&self, ask: &ListQuery) -> Result<ListPage<(Job, Vec<JobId>)>, StoreError> {
        let children = "SELECT parent, job.id FROM job JOIN job_template ON job_template.id = job_template
                        JOIN project ON project.id = project
                        WHERE parent IN (SELECT value FROM json_each(?))
                        ORDER BY project.title, job_template.title, job.title, job.id";
        self.list(ask, move |reading, ask| {
            let page = select(reading, Resource::Job, ask, rows::job)?;
            let ids: Vec<i64> = page.things.iter().map(|job| job.id.get()).collect();
            let mut children = related::<JobId, _>(reading, children, &ids)?;
            Ok(page.with(|job| children.remove(&job.id).unwrap_or_default()))
        })
        .await
    }

    /// Lists runs with the ids of their logs.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn runs(&self, ask: &ListQuery) -> Result<ListPage<(Run, Option<LogId>)>, StoreError> {
        let with_log = |row: &DbRow<'_>| Ok((rows::run(row)?, row.get("log")?));
        self.list(ask, move |reading, ask| select(reading, Resource::Run, ask, with_log)).await
    }

    /// Lists logs of runs, without their texts.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn logs(&self, ask: &ListQuery) -> Result<ListPage<LogEntry>, StoreError> {
        self.list(ask, |reading, ask| select(reading, Resource::RunLog, ask, log)).await
    }

    /// Lists kill requests by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn kills(&self, ask: &ListQuery) -> Result<ListPage<KillRequest>, StoreError> {
        self.list(ask, |reading, ask| select(reading, Resource::KillRequest, ask, rows::kill)).await
    }
}

/// Reads whether a resource may be seen; see [`Store::sees`].
pub(super) fn sees(
    reading: &Reading<'_>,
    resource: Resource,
    id: i64,
    scope: Scope,
) -> Result<Option<bool>, StoreError> {
    let name = table(resource);
    // The condition is selected rather than filtered by, so that a hidden row differs from a missing one.
    let mut query = Statement::new("SELECT TRUE");
    if let Scope::Worker(worker) = scope {
        query.push(" AND ");
        match visibility(resource) {
            Some(visibility) => visibility.of_row(&mut query, worker),
            None => {
                query.push("worker.id = ").bind(&worker);
            }
        }
    }
    query.push(&format!(" FROM {name} WHERE id = ")).bind(&id);
    Ok(reading.value(query.sql(), &query.arguments())?)
}

/// Reads a page of a list; `read` reads each row of it.
fn select<T>(
    reading: &Reading<'_>,
    resource: Resource,
    ask: &ListQuery,
    read: impl Fn(&DbRow<'_>) -> Result<T, StoreError>,
) -> Result<ListPage<T>, StoreError> {
    let name = table(resource);
    let mut count = Statement::new(&format!("SELECT count(*) FROM {name}"));
    narrow(&mut count, resource, ask);
    let total: i64 = reading.one(count.sql(), &count.arguments(), |row| row.at(0))?;
    let besides = match resource {
        Resource::Run => ", (SELECT run_log.id FROM run_log WHERE run_log.run = run.id) AS log",
        _ => "",
    };
    let mut query = Statement::new(&format!("SELECT {name}.*{besides}, {} AS weight FROM {name}", weight(resource)));
    narrow(&mut query, resource, ask);
    query.push(" ORDER BY ").push(order(resource));
    query.push(" LIMIT ").bind(&ask.limit.map_or(NO_LIMIT, i64::from));
    query.push(" OFFSET ").bind(&i64::try_from(ask.offset).unwrap_or(i64::MAX));
    // Rows are read one by one, so that a list of long scripts never lies in memory beyond one page.
    let (mut things, mut bytes, mut full) = (Vec::new(), 0_i64, false);
    reading.each(query.sql(), &query.arguments(), |row| {
        bytes = bytes.saturating_add(row.get::<Option<i64>>("weight")?.unwrap_or(0));
        full = bytes > PAGE_BYTES && !things.is_empty();
        if !full {
            things.push(read(row)?);
        }
        Ok::<_, StoreError>(!full)
    })?;
    Ok(ListPage { total: u64::try_from(total).unwrap_or_default(), things, full })
}

/// Reads the related ids of several rows in one statement, in its order.
fn related<K: FromValue + Ord, V: FromValue>(
    reading: &Reading<'_>,
    sql: &str,
    of: &[i64],
) -> Result<BTreeMap<K, Vec<V>>, StoreError> {
    let mut related = BTreeMap::<K, Vec<V>>::new();
    reading.each(sql, &[&rows::json(of)], |row| {
        related.entry(row.at(0)?).or_default().push(row.at(1)?);
        Ok::<_, StoreError>(true)
    })?;
    Ok(related)
}

/// Reads a log, without its text.
fn log(row: &DbRow<'_>) -> Result<LogEntry, StoreError> {
    Ok(LogEntry { run: row.get("run")?, extent: extent(row)? })
}

impl<T> ListPage<T> {
    /// Pairs each row of a page with further data.
    fn with<U>(self, mut besides: impl FnMut(&T) -> U) -> ListPage<(T, U)> {
        let with = |thing: T| {
            let besides = besides(&thing);
            (thing, besides)
        };
        ListPage { total: self.total, things: self.things.into_iter().map(with).collect(), full: self.full }
    }
}

/// Query for the one resource with an id, in [`Scope::All`].
#[must_use]
pub fn only(id: i64) -> ListQuery {
    let test = Test::Compared(Comparison::Equal, FilterValue::Number(id));
    let term = Term::Field { over: Vec::new(), field: "id".to_owned(), test };
    ListQuery { scope: Scope::All, terms: vec![term], limit: Some(1), offset: 0 }
}

/// Returns whether a query is for one entity by its id, as [`only`] makes it.
fn is_of_one(ask: &ListQuery) -> bool {
    let is_id = |term: &Term| match term {
        Term::Field { over, field, test } => {
            over.is_empty() && field == "id" && matches!(test, Test::Compared(Comparison::Equal, _))
        }
        Term::OfProject(_) | Term::LastCompleted => false,
    };
    ask.terms.iter().any(is_id)
}
