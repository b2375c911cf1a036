//! Promises of the rewriting.

use super::rewrite;

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
    for (sql, writes) in [
        ("SELECT * FROM run", false),
        ("WITH x AS (SELECT 1) SELECT * FROM x", false),
        ("SELECT last_UPDATE, 'INSERT' FROM x -- DELETE", false),
        ("INSERT INTO x VALUES (?) RETURNING id", true),
        ("WITH gone AS (DELETE FROM x RETURNING id) SELECT id FROM gone", true),
        ("UPDATE x SET y = 1", true),
    ] {
        assert_eq!(rewrite(sql).writes, writes, "{sql}");
    }
}
