use chrono::DateTime;

use super::{Piece, Sentence};
use crate::run::RunId;
use crate::server::domain::model::JobId;

#[test]
fn a_sentence_reads_as_its_pieces_one_after_the_other() {
    let (run, job) = (RunId::new(5).unwrap(), JobId::new(7).unwrap());
    let at = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
    let sentence = Sentence::from("run ").and(run).and(" of job ").and(job).then(Sentence::from(" at ").and(at));
    assert_eq!(sentence.to_string(), "run 5 of job 7 at 2025-11-24T16:00:00.000Z");
    assert_eq!(sentence.pieces().len(), 6);
    assert_eq!(Sentence::from("a").and("b").pieces(), [Piece::Text("ab".to_owned())], "texts become one piece");
}
