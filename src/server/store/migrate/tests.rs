use rusqlite::Connection;

use super::catalogue::{Column, Kind, Table, in_order};
use super::marks::{Decision, Refusal, SourceMark, TargetState, decide};
use super::{MigrateError, rows};

/// Table of integers with these columns, the first of which is its key.
fn table(name: &str, columns: &[(&str, Kind)], refers_to: &[&str]) -> Table {
    let columns = columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind });
    Table {
        name: name.to_owned(),
        columns: columns.collect(),
        key: vec![0],
        identity: None,
        refers_to: refers_to.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn a_store_is_copied_only_where_nothing_else_is() {
    let own = || Some("own".to_owned());
    let other = || Some("other".to_owned());
    let sources = [
        ("new", SourceMark::default()),
        ("present", SourceMark { installation: own(), moved_to: None }),
        ("moved here", SourceMark { installation: own(), moved_to: Some("here".to_owned()) }),
        ("moved there", SourceMark { installation: own(), moved_to: Some("there".to_owned()) }),
    ];
    let targets = [
        ("empty", TargetState::Empty),
        ("tables of others", TargetState::Foreign),
        ("own, incomplete", TargetState::Incomplete(own())),
        ("other, incomplete", TargetState::Incomplete(other())),
        ("nameless, incomplete", TargetState::Incomplete(None)),
        ("own", TargetState::Complete(own())),
        ("other", TargetState::Complete(other())),
        ("nameless", TargetState::Complete(None)),
    ];
    let mut lines = String::new();
    for (target_name, target) in &targets {
        for (source_name, source) in &sources {
            lines += &format!("{target_name} <- {source_name}: {:?}\n", decide(source, target, "here"));
        }
    }
    insta::assert_snapshot!(lines, @r"
    empty <- new: Copy
    empty <- present: Copy
    empty <- moved here: Refuse(MovedElsewhere)
    empty <- moved there: Refuse(MovedElsewhere)
    tables of others <- new: Refuse(Foreign)
    tables of others <- present: Refuse(Foreign)
    tables of others <- moved here: Refuse(Foreign)
    tables of others <- moved there: Refuse(Foreign)
    own, incomplete <- new: Refuse(OtherIncomplete)
    own, incomplete <- present: Copy
    own, incomplete <- moved here: Copy
    own, incomplete <- moved there: Refuse(MovedElsewhere)
    other, incomplete <- new: Refuse(OtherIncomplete)
    other, incomplete <- present: Refuse(OtherIncomplete)
    other, incomplete <- moved here: Refuse(OtherIncomplete)
    other, incomplete <- moved there: Refuse(OtherIncomplete)
    nameless, incomplete <- new: Refuse(OtherIncomplete)
    nameless, incomplete <- present: Refuse(OtherIncomplete)
    nameless, incomplete <- moved here: Refuse(OtherIncomplete)
    nameless, incomplete <- moved there: Refuse(OtherIncomplete)
    own <- new: Refuse(Other)
    own <- present: Refuse(Already)
    own <- moved here: Nothing
    own <- moved there: Nothing
    other <- new: Refuse(Other)
    other <- present: Refuse(Other)
    other <- moved here: Refuse(Other)
    other <- moved there: Refuse(Other)
    nameless <- new: Refuse(Other)
    nameless <- present: Refuse(Other)
    nameless <- moved here: Refuse(Other)
    nameless <- moved there: Refuse(Other)
    ");
}

#[test]
fn every_refusal_is_one_line_that_goes_on_with_the_name_of_the_database() {
    for refusal in
        [Refusal::Foreign, Refusal::Other, Refusal::OtherIncomplete, Refusal::Already, Refusal::MovedElsewhere]
    {
        let line = MigrateError::Refused { place: "db/jobs".to_owned(), refusal }.to_string();
        assert!(line.starts_with("the database db/jobs ") && !line.contains('\n'), "{line}");
    }
    assert_eq!(decide(&SourceMark::default(), &TargetState::Empty, "here"), Decision::Copy);
}

#[test]
fn a_table_comes_after_those_to_which_it_refers() {
    let key = [("id", Kind::Integer)];
    let tables = vec![
        table("chunk", &key, &["log"]),
        table("log", &key, &["run"]),
        table("run", &key, &["job", "worker"]),
        table("worker", &key, &[]),
        table("job", &key, &[]),
    ];
    let sorted = in_order(tables).expect("an order");
    let names: Vec<_> = sorted.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["worker", "job", "run", "log", "chunk"]);
    let circle = vec![table("a", &key, &["b"]), table("b", &key, &["a"])];
    let error = in_order(circle).expect_err("a circle").to_string();
    assert_eq!(error, "the circle of references of a, b of the SQLite store has no place in PostgreSQL");
}

/// Encodes the only row of a query.
fn encoded(query: &str, table: &Table) -> Result<Vec<u8>, MigrateError> {
    let connection = Connection::open_in_memory().expect("a database");
    let mut statement = connection.prepare(query).expect("a query");
    let mut found = statement.query([]).expect("rows");
    let row = found.next().expect("a row").expect("a row");
    let mut bytes = Vec::new();
    rows::encode(row, table, &mut bytes).map(|()| bytes)
}

#[test]
fn a_row_is_encoded_as_postgresql_reads_it() {
    let all =
        table("t", &[("id", Kind::Integer), ("name", Kind::Text), ("data", Kind::Bytes), ("gone", Kind::Text)], &[]);
    let bytes = encoded("SELECT -2, 'a' || char(0), x'00ff', NULL", &all).expect("a row");
    let expected = [
        &[0, 4, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe][..],
        &[0, 0, 0, 6, b'a', 0xf4, 0x8f, 0xbf, 0xbf, b'0'],
        &[0, 0, 0, 2, 0, 0xff],
        &[0xff; 4],
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_value_of_another_kind_is_named_with_its_row() {
    let all = table("t", &[("id", Kind::Integer), ("name", Kind::Text)], &[]);
    for value in ["1.5", "7", "x'00'", "CAST(x'ff' AS TEXT)"] {
        let error = encoded(&format!("SELECT 12, {value}"), &all).expect_err(value).to_string();
        assert_eq!(
            error,
            "the row 12 of the table t of the SQLite store has a value in the column name that this program does not write"
        );
    }
}
