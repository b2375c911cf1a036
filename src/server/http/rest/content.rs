//! What an answer has to say: a value, or a list whose logs are read as they are sent.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use crate::server::domain::resource::Resource;
use crate::server::state::AppState;
use crate::server::store::lists::{LogEntry, Scope};
use crate::server::store::{Extent, StoreError};

/// What an answer has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiContent {
    /// A value.
    Value(Value),
    /// Pieces of JSON, one after another.
    Pieces(VecDeque<JsonPiece>),
}

/// A piece of JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonPiece {
    /// As it is.
    Text(String),
    /// The text of a log as what stands between quotation marks. It is in no memory before it is sent.
    Log(Extent),
}

/// Why a content that was begun is not sent to its end.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The log is another by now.
    #[error("the log was replaced while it was read")]
    Replaced,
    /// What is stored is no text.
    #[error("the log is not text")]
    NoText(#[source] std::str::Utf8Error),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is longer than whoever asked can take.
    #[error("the answer is too long")]
    TooLong,
}

/// One object of a list.
pub type Object = Vec<JsonPiece>;

/// An object without a log.
pub fn plain(object: &Value) -> Object {
    vec![JsonPiece::Text(object.to_string())]
}

/// A log, whose text is read later.
pub fn log(entry: &LogEntry) -> Object {
    let id = entry.extent.log.get();
    let rest = json!({
        "id": id, "resource_uri": Resource::RunLog.path(id), "run": Resource::Run.path(entry.run.get()),
    })
    .to_string();
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

/// How many bytes of an object are in memory now.
pub fn in_memory(object: &Object) -> usize {
    let bytes = |piece: &JsonPiece| match piece {
        JsonPiece::Text(text) => text.len(),
        JsonPiece::Log(_) => 0,
    };
    object.iter().map(bytes).sum()
}

/// A list: what stands before its objects, them, and what stands behind.
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
    /// The whole of it, where nothing has to be read for that.
    pub fn at_hand(&self) -> Option<String> {
        let text = |piece: &JsonPiece| match piece {
            JsonPiece::Text(text) => Some(text.clone()),
            JsonPiece::Log(_) => None,
        };
        match self {
            Self::Value(value) => Some(value.to_string()),
            Self::Pieces(pieces) => pieces.iter().map(text).collect(),
        }
    }

    /// As it goes out, a part at a time; each part of a log waits for its turn and holds no reader while it is sent.
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
                        Some(JsonPiece::Log(extent)) if at >= extent.len() => at = 0,
                        Some(JsonPiece::Log(extent)) => {
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

    /// The whole of it, if that is no more than `most` bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn whole(self, app: Arc<AppState>, scope: Scope, most: usize) -> Result<String, ContentError> {
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

/// A part of a log as JSON has it between quotation marks, and no more than so many bytes of it: what was added since
/// its length was read is not of this answer. Pieces of logs cut no character.
fn escaped(piece: &[u8], most: u64) -> Result<Bytes, ContentError> {
    let some = usize::try_from(most).unwrap_or(usize::MAX).min(piece.len());
    let text = str::from_utf8(&piece[..some]).map_err(ContentError::NoText)?;
    let quoted = Bytes::from(Value::from(text).to_string());
    Ok(quoted.slice(1..quoted.len() - 1))
}
