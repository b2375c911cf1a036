//! Test that no statement of the store reads more rows than it has to: SQLite's plan of each that would go through all runs
//! or through the whole history of a job is in a snapshot, with the reason why that is all right.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::schema::MIGRATIONS;

/// Returns the string literals of a source file.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut characters = source.chars();
    while characters.by_ref().any(|c| c == '"') {
        let mut text = String::new();
        while let Some(c) = characters.next() {
            match c {
                '"' => break,
                '\\' => text.extend(characters.next()),
                c => text.push(c),
            }
        }
        found.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    found
}

/// Returns all complete statements of the store with the files in which they stand.
pub(super) fn statements() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/store");
    let of_folder = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = of_folder(folder.join("farm")).chain(of_folder(folder)).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    let of_file = |file: &std::path::PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let found = literals(&std::fs::read_to_string(file).unwrap());
        found.into_iter().map(move |literal| (name.clone(), literal)).collect::<Vec<_>>()
    };
    let begins =
        |sql: &str| ["SELECT ", "WITH ", "UPDATE ", "DELETE ", "INSERT "].iter().any(|verb| sql.starts_with(verb));
    files.iter().flat_map(of_file).filter(|(_, sql)| begins(sql)).collect()
}

#[test]
fn statements_that_read_many_runs_are_known() {
    let connection = Connection::open_in_memory().unwrap();
    MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
    let (mut planned, mut long) = (0, String::new());
    for (file, sql) in statements() {
        // A part of a statement cannot be prepared.
        let Ok(mut plan) = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) else { continue };
        let steps = plan.parameter_count();
        let rows = plan.query_map(rusqlite::params_from_iter(vec![1; steps]), |row| row.get::<_, String>(3)).unwrap();
        let rows: Vec<String> = rows.map(Result::unwrap).collect();
        planned += 1;
        let is_long = |step: &String| step.contains("run_by_job") || step.starts_with("SCAN run");
        for step in rows.iter().filter(|step| is_long(step)) {
            long.push_str(&format!("{file}: {step}\n    {sql}\n"));
        }
    }
    assert!(planned > 100, "only {planned} statements were found");
    insta::assert_snapshot!(long);
}
