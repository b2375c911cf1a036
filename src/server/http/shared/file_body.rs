//! Bodies of answers that are read from a file piece by piece.

use std::fs::File;

use axum::body::{Body, Bytes};
use tokio::io::AsyncReadExt;

/// Bytes of a file that are in memory at once.
const PIECE: usize = 64 * 1024;

/// Returns a body with what a file has from its present place on.
pub fn rest_of(file: File) -> Body {
    Body::from_stream(futures_util::stream::unfold(tokio::fs::File::from_std(file), |mut file| async {
        // A log may be as long as a disk; no more of it than a piece is in memory for each reader.
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), file))
            }
            // The connection is closed, so that the reader does not take the piece for all of it.
            Err(e) => Some((Err(e), file)),
        }
    }))
}
