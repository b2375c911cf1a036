//! Content of an answer: a JSON value, or pieces of JSON whose logs are read as they are sent.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use crate::server::domain::resource::Resource;
use crate::server::state::AppState;
use crate::server::store::rest_lists::{LogEntry, Scope};
use crate::server::store::{Extent, StoreError};

/// Content of an answer, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiContent {
    /// JSON value in memory.
    Value(Value),
    /// Pieces of JSON, to be sent one after another.
    Pieces(VecDeque<JsonPiece>),
}

/// Piece of a JSON text.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonPiece {
    /// Text to be sent as it is.
    Text(String),
    /// Text of a log, to be sent as the inside of a JSON string. It is not in memory before.
    Log(Extent),
}

/// Reason why a content is cut off that was sent in part.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The log was replaced since its extent was read.
    #[error("the log was replaced while it was read")]
    Replaced,
    /// The stored bytes are not UTF-8.
    #[error("the log is not text")]
    NoText(#[source] std::str::Utf8Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The content is longer than the caller can take.
    #[error("the answer is too long")]
    TooLong,
}

/// JSON object of a list, in pieces.
pub type Object = Vec<JsonPiece>;

/// Builds an object without a log.
pub fn plain(object: &Value) -> Object {
    vec![JsonPiece::Text(object.to_string())]
}

/// Builds the object of a log, whose text is read when it is sent.
pub fn log(entry: &LogEntry) -> Object {
    let id = entry.extent.log.get();
    let rest = json!({
        "id": id, "resource_uri": Resource::RunLog.path(id), "run": Resource::Run.path(entry.run.get()),
    })
    .to_string();
    // Behind the text of the log the object goes on, without the brace that it begins with.
    let rest = rest.trim_start_matches('{');
    match entry.extent.bytes {
        None => vec![JsonPiece::Text(format!("{{\"content\":null,{rest}"))],
        Some(_) => {
            vec![
                JsonPiece::Text("{\"content\":\"".to_owned()),
                JsonPiece::Log(entry.extent),
                JsonPiece::Text(format!("\",{rest}")),
            ]
        }
    }
}

/// Returns the bytes of an object that are in memory now.
pub fn in_memory(object: &Object) -> usize {
    let bytes = |piece: &JsonPiece| match piece {
        JsonPiece::Text(text) => text.len(),
        JsonPiece::Log(_) => 0,
    };
    object.iter().map(bytes).sum()
}

/// Builds a list from the text before its objects, the objects, and the text behind.
pub fn list(before: String, objects: Vec<Object>, behind: String) -> ApiContent {
    let mut pieces = VecDeque::from([JsonPiece::Text(before)]);
    for (index, object) in objects.into_iter().enumerate() {
        if index > 0 {
            pieces.push_back(JsonPiece::Text(",".to_owned()));
        }
        pieces.extend(object);
    }
    pieces.push_back(JsonPiece::Text(behind));
    ApiContent::Pieces(pieces)
}

impl ApiContent {
    /// Returns the whole content, if no log has to be read for it.
    pub fn text_in_memory(&self) -> Option<String> {
        let text = |piece: &JsonPiece| match piece {
            JsonPiece::Text(text) => Some(text.clone()),
            JsonPiece::Log(_) => None,
        };
        match self {
            Self::Value(value) => Some(value.to_string()),
            Self::Pieces(pieces) => pieces.iter().map(text).collect(),
        }
    }

    /// Streams the content in parts; each part of a log waits for its turn at the store, and holds none while it is
    /// sent.
    pub fn parts(self, app: Arc<AppState>, scope: Scope) -> impl Stream<Item = Result<Bytes, ContentError>> + use<> {
        let pieces = match self {
            Self::Value(value) => VecDeque::from([JsonPiece::Text(value.to_string())]),
            Self::Pieces(pieces) => pieces,
        };
        stream::try_unfold((pieces, 0), move |(mut pieces, mut at)| {
            let app = Arc::clone(&app);
            async move {
                loop {
                    match pieces.pop_front() {
                        None => return Ok(None),
                        Some(JsonPiece::Text(text)) => return Ok(Some((Bytes::from(text), (pieces, 0)))),
                        // This log has been sent; `at` counts from the beginning of the next one.
                        Some(JsonPiece::Log(extent)) if at >= extent.len() => at = 0,
                        Some(JsonPiece::Log(extent)) => {
                            // The turn ends with this block: a client that takes its time must not keep others from the
                            // store.
                            let piece = {
                                let _turn = app.reading.take(scope).await;
                                app.store.log_piece(&extent, at).await?.ok_or(ContentError::Replaced)?
                            };
                            let part = escaped(&piece, extent.len() - at)?;
                            pieces.push_front(JsonPiece::Log(extent));
                            return Ok(Some((part, (pieces, at + piece.len() as u64))));
                        }
                    }
                }
            }
        })
    }

    /// Collects the whole content, if it has no more than `most` bytes.
    ///
    /// # Errors
    /// If the content is longer, the log was replaced, or the store cannot be read.
    pub async fn text(self, app: Arc<AppState>, scope: Scope, most: usize) -> Result<String, ContentError> {
        let mut parts = std::pin::pin!(self.parts(app, scope));
        let mut whole = String::new();
        while let Some(part) = parts.next().await {
            let part = part?;
            if whole.len() + part.len() > most {
                return Err(ContentError::TooLong);
            }
            whole.push_str(str::from_utf8(&part).map_err(ContentError::NoText)?);
        }
        Ok(whole)
    }
}

/// Escapes a part of a log as the inside of a JSON string, at most `most` bytes of it: text that was added after the
/// length was read does not belong to this answer. Pieces of logs never cut a character.
fn escaped(piece: &[u8], most: u64) -> Result<Bytes, ContentError> {
    let some = usize::try_from(most).unwrap_or(usize::MAX).min(piece.len());
    let text = str::from_utf8(&piece[..some]).map_err(ContentError::NoText)?;
    let quoted = Bytes::from(Value::from(text).to_string());
    // The quotation marks around the whole log are pieces of their own.
    Ok(quoted.slice(1..quoted.len() - 1))
}
