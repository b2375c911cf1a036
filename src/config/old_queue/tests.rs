use rusqlite::Connection;

use super::rows;

#[test]
fn updates_that_a_python_worker_left_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flamenco-worker.db");
    assert_eq!(rows(&path), 0, "there is no file");
    let file = Connection::open(&path).unwrap();
    file.execute_batch("CREATE TABLE fworker_queue(url TEXT, payload BLOB)").unwrap();
    assert_eq!(rows(&path), 0);
    file.execute_batch("INSERT INTO fworker_queue VALUES ('/tasks/1/update', x'80'), ('/tasks/1/update', x'80')")
        .unwrap();
    assert_eq!(rows(&path), 2);
    std::fs::write(&path, "no database").unwrap();
    assert_eq!(rows(&path), 0);
}
