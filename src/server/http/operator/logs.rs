//! Requests for a run's log: as a file or a part of it, by lines, and by a search.
//!
//! However long a log is, no more than a piece of it is in memory for each reader.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::byte_range::{self, ByteRange};
use super::find::run_id;
use super::log_search::{self, Search};
use super::refusal::OperatorRefusal;
use super::runs::find_run;
use crate::run::{RunId, excerpt};
use crate::server::http::terminal::{self, Colour, Row, Span};
use crate::server::state::AppState;
use crate::server::store::{Extent, StoreError};
use crate::wire::operator::{LogFound, LogLines, LogRow, LogRows, LogSpan};

/// Lines in an answer where the request names no number; [`MOST_LINES`] is the most.
const LINES: u64 = 200;
const MOST_LINES: u64 = 10_000;
/// Maximum number of bytes of lines in an answer.
const MOST_BYTES: usize = 1024 * 1024;
/// Maximum number of matching lines in the answer to a search.
const FOUND: usize = 1000;
/// Attempts to read lines of a log that is replaced meanwhile.
const TRIES: u32 = 5;

/// Form in which the log is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileQuery {
    /// Whether a browser has to save it as a file.
    download: bool,
}

/// Returns the log, or the part of it that the header `Range` asks for, as text.
pub(super) async fn file(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    query: Result<Query<FileQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let run = run_id(&run)?;
    // A run without a log has an empty one, but a run that does not exist is answered with 404.
    find_run(&app, run).await?;
    let extent = app.store.log_extent(run).await?;
    let bytes = extent.as_ref().map_or(0, Extent::len);
    let (status, from, to) = match byte_range::parse(headers.get(RANGE).and_then(|range| range.to_str().ok()), bytes) {
        ByteRange::Whole => (StatusCode::OK, 0, bytes),
        ByteRange::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        ByteRange::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let body = match extent {
        Some(extent) if from < to => Body::from_stream(pieces(app, extent, from, to)),
        _ => Body::empty(),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned());
    set(ACCEPT_RANGES, "bytes".to_owned());
    set(CONTENT_LENGTH, (to - from).to_string());
    match status {
        StatusCode::PARTIAL_CONTENT => set(CONTENT_RANGE, format!("bytes {from}-{}/{bytes}", to - 1)),
        StatusCode::RANGE_NOT_SATISFIABLE => set(CONTENT_RANGE, format!("bytes */{bytes}")),
        _ => {}
    }
    if query.download {
        set(CONTENT_DISPOSITION, format!("attachment; filename=\"run-{run}.log\""));
    }
    Ok(response)
}

/// Reason why a log is cut off that was sent in part.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the log was replaced while it was read")]
    Replaced,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Streams the bytes of a log, a piece at a time.
fn pieces(
    app: Arc<AppState>,
    extent: Extent,
    from: u64,
    to: u64,
) -> impl futures_util::Stream<Item = Result<Bytes, Broken>> {
    stream::try_unfold(from, move |at| {
        let app = Arc::clone(&app);
        async move {
            if at >= to {
                return Ok(None);
            }
            // The status has been sent already, so breaking off is the only way to say that the rest is missing.
            let mut piece = app.store.log_piece(&extent, at).await?.ok_or(Broken::Replaced)?;
            // The last piece may reach beyond the requested part.
            piece.truncate(usize::try_from(to - at).unwrap_or(usize::MAX));
            let next = at + piece.len() as u64;
            Ok(Some((Bytes::from(piece), next)))
        }
    })
}

/// Range of lines that a request asks for, the first being 0.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LinesQuery {
    from: u64,
    limit: Option<u64>,
}

/// Returns lines of the log as they were written, and its size.
pub(super) async fn lines(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    query: Result<Query<LinesQuery>, QueryRejection>,
) -> Result<Json<LogLines>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let run = run_id(&run)?;
    find_run(&app, run).await?;
    let limit = query.limit.unwrap_or(LINES).min(MOST_LINES);
    // A log that is replaced between the reading of its size and of its lines is read again.
    for _ in 0..TRIES {
        if let Some(lines) = some_lines(&app, run, query.from, limit).await? {
            return Ok(Json(lines));
        }
    }
    Err(OperatorRefusal::Conflict("the log is being replaced again and again".to_owned()))
}

/// Reads lines and size from one extent; `None` if the log was replaced meanwhile.
async fn some_lines(app: &AppState, run: RunId, first: u64, limit: u64) -> Result<Option<LogLines>, StoreError> {
    let Some(extent) = app.store.log_extent(run).await? else { return Ok(Some(LogLines::default())) };
    let Some(found) = app.store.log_lines(&extent, first, limit, MOST_BYTES).await? else { return Ok(None) };
    let (text, whole) = excerpt::piece(&found.text);
    Ok(Some(LogLines {
        bytes: extent.len(),
        lines: extent.lines(),
        revision: extent.revision,
        first: first.min(extent.lines()),
        from: found.from,
        to: found.from + whole as u64,
        text,
    }))
}

/// Returns lines of the log as a terminal shows them, and its size.
pub(super) async fn rows(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    query: Result<Query<LinesQuery>, QueryRejection>,
) -> Result<Json<LogRows>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let run = run_id(&run)?;
    find_run(&app, run).await?;
    let limit = query.limit.unwrap_or(LINES).min(MOST_LINES);
    for _ in 0..TRIES {
        let Some(extent) = app.store.log_extent(run).await? else { return Ok(Json(LogRows::default())) };
        if let Some(found) = terminal::rows(&app.store, &extent, query.from, limit, MOST_BYTES).await? {
            return Ok(Json(LogRows {
                bytes: extent.len(),
                lines: extent.lines(),
                revision: extent.revision,
                first: found.first,
                rows: found.rows.into_iter().map(row).collect(),
            }));
        }
    }
    Err(OperatorRefusal::Conflict("the log is being replaced again and again".to_owned()))
}

fn row(row: Row) -> LogRow {
    let span = |span: Span| LogSpan {
        class: span.look.classes(),
        color: span.look.front.and_then(Colour::hex),
        background: span.look.back.and_then(Colour::hex),
        text: span.text,
    };
    LogRow { spans: row.spans.into_iter().map(span).collect(), cut: row.cut }
}

/// Text that a search asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SearchQuery {
    text: String,
}

/// Returns the numbers of the lines that contain a text.
pub(super) async fn search(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Result<Json<LogFound>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let run = run_id(&run)?;
    find_run(&app, run).await?;
    let allowed =
        || OperatorRefusal::Malformed(format!("what is sought has 1 to {} bytes on one line", log_search::LONGEST));
    let mut search = Search::new(&query.text, FOUND).ok_or_else(allowed)?;
    if let Some(extent) = app.store.log_extent(run).await? {
        let mut at = 0;
        // A log that is replaced during the search is searched up to there; the matches so far are answered.
        while let Some(piece) = app.store.log_piece(&extent, at).await?
            && search.search(&piece)
        {
            at += piece.len() as u64;
        }
    }
    let (lines, more) = search.found();
    Ok(Json(LogFound { lines, more }))
}
