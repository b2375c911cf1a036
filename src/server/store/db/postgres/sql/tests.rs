//! Promises of the rewriting.

use super::{Writes, rewrite};

#[track_caller]
fn assert_rewritten(sql: &str, expected: &str) {
    assert_eq!(rewrite(sql).text, expected, "{sql}");
}

#[test]
fn places_of_values_are_numbered_as_sqlite_numbers_them() {
    assert_rewritten("SELECT * FROM run WHERE id = ?", "SELECT * FROM run WHERE id = $1");
    assert_rewritten("VALUES (?, ?, ?)", "VALUES ($1, $2, $3)");
    assert_rewritten("?2 ? ?1 ?", "$2 $3 $1 $4");
    assert_rewritten("?12,?1", "$12,$1");
    assert_rewritten("a=?AND b=?", "a=$1AND b=$2");
}

#[test]
fn what_stands_in_quotes_and_comments_stays() {
    for sql in [
        "SELECT 'why?'",
        "SELECT 'it''s ? here', \"odd?\"\"name?\"",
        "SELECT 1 -- and what of ?\n",
        "SELECT 1 -- to the end ?",
        "/* ? INDEXED BY x */ SELECT 1",
        "SELECT 'INDEXED BY run_open NOT INDEXED'",
        "SELECT '-- no comment', '/* none */'",
        "SELECT 'not closed ?",
        "SELECT 'caf\u{e9}\u{1f600}?' AS caf\u{e9}",
    ] {
        assert_rewritten(sql, sql);
    }
    assert_rewritten("'?'?'?'", "'?'$1'?'");
    assert_rewritten("-- ?\n?/*?*/?", "-- ?\n$1/*?*/$2");
    assert_rewritten("a - ? / ?", "a - $1 / $2");
}

#[test]
fn hints_to_sqlites_planner_go() {
    assert_rewritten("FROM run INDEXED BY run_open WHERE id = ?", "FROM run  WHERE id = $1");
    assert_rewritten("FROM run INDEXED  BY\n run_open", "FROM run ");
    assert_rewritten("FROM run NOT INDEXED WHERE x", "FROM run  WHERE x");
    assert_rewritten("FROM run INDEXED BY a, job INDEXED BY b", "FROM run , job ");
    for sql in ["NOT INDEXED_BY", "xINDEXED BY y", "NOT EXISTS (x)", "INDEXED", "NOT", "is_NOT INDEXEDY"] {
        assert_rewritten(sql, sql);
    }
}

#[test]
fn a_statement_that_may_write_is_told_from_one_that_reads() {
    let table = |table: &str| Writes::Table(table.to_owned());
    for (sql, writes) in [
        ("SELECT * FROM run", Writes::Nothing),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Writes::Nothing),
        ("SELECT last_UPDATE, 'INSERT' FROM x -- DELETE", Writes::Nothing),
        ("INSERT INTO x VALUES (?) RETURNING id", table("x")),
        ("INSERT  INTO\n x_y(z) SELECT 1", table("x_y")),
        ("INSERT INTO x VALUES (?) ON CONFLICT (id) DO UPDATE SET y = 1", table("x")),
        ("WITH gone AS (DELETE FROM x RETURNING id) SELECT id FROM gone", Writes::Any),
        ("DELETE FROM x WHERE id = ?", Writes::Any),
        ("UPDATE x SET y = 1", table("x")),
        ("WITH moved AS (UPDATE x SET y = 1 RETURNING id) INSERT INTO z SELECT id FROM moved", Writes::Any),
        ("WITH moved AS (UPDATE x SET y = 1 RETURNING id) UPDATE z SET y = 1", Writes::Any),
        ("SELECT * FROM x FOR UPDATE", Writes::Any),
        ("INSERT OR IGNORE INTO x VALUES (1)", Writes::Any),
    ] {
        assert_eq!(rewrite(sql).writes, writes, "{sql}");
    }
}

#[test]
fn a_write_makes_answers_void_that_read_its_table_and_no_others() {
    let question = "SELECT job.id FROM job JOIN run_log ON run_log.job = job.id WHERE x = 'runs'";
    for (sql, is_void) in [
        ("UPDATE job SET y = 1", true),
        ("INSERT INTO run_log VALUES (1)", true),
        ("UPDATE run SET y = 1", false),
        ("INSERT INTO log VALUES (1)", false),
        ("DELETE FROM run", true),
        ("SELECT * FROM job", false),
    ] {
        assert_eq!(rewrite(sql).writes.concern(question), is_void, "{sql}");
    }
}
