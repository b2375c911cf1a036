//! Tests that the two engines have the same schema, and that PostgreSQL takes every statement of the store.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::db::{TestDatabase, rewrite};
use super::query_plans;
use super::schema::{MIGRATIONS, POSTGRES_MIGRATIONS};

/// Columns of SQLite: table, name, type, whether it is never NULL, default.
const COLUMNS: &str = "SELECT concat_ws(' ', list.name, column.name, column.type,
        iif(column.\"notnull\" OR column.pk > 0, 'NOT NULL', ''), column.dflt_value)
    FROM pragma_table_list AS list JOIN pragma_table_info(list.name) AS column
    WHERE list.schema = 'main' AND list.name NOT LIKE 'sqlite_%'";
/// Without the tables of several servers, which only PostgreSQL has.
const POSTGRES_COLUMNS: &str = "SELECT concat_ws(' ', table_name, column_name,
        CASE WHEN data_type = 'bigint' THEN 'INTEGER' WHEN data_type = 'bytea' THEN 'BLOB'
            WHEN data_type = 'text' AND collation_name = 'C' THEN 'TEXT' ELSE data_type || collation_name END,
        CASE is_nullable WHEN 'NO' THEN 'NOT NULL' ELSE '' END, replace(column_default, '::text', ''))
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name NOT IN ('schema_version', 'group_commit', 'server', 'dispatch_lease')";

/// Indexes of SQLite: table, name where it was given one, columns, `UNIQUE` and `partial` where it is so. The key of a
/// table by its number is none in SQLite.
const INDEXES: &str = "SELECT concat_ws(' ', list.name, iif(entry.origin = 'c', entry.name, ''),
        (SELECT group_concat(coalesce(name, 'expression')) FROM
            (SELECT * FROM pragma_index_xinfo(entry.name) WHERE key AND cid <> -1 ORDER BY seqno)),
        iif(entry.\"unique\", 'UNIQUE', ''), iif(entry.partial, 'partial', ''))
    FROM pragma_table_list AS list JOIN pragma_index_list(list.name) AS entry
    WHERE list.schema = 'main' AND list.name NOT LIKE 'sqlite_%'
    UNION ALL
    SELECT concat_ws(' ', list.name, '', column.name, 'UNIQUE', '')
    FROM pragma_table_list AS list JOIN pragma_table_info(list.name) AS column
    WHERE list.schema = 'main' AND list.name NOT LIKE 'sqlite_%' AND column.pk = 1 AND column.type = 'INTEGER'
    AND NOT EXISTS (SELECT 1 FROM pragma_index_list(list.name) WHERE origin = 'pk')";
/// A long text is unique by its digest in PostgreSQL.
const POSTGRES_INDEXES: &str = "SELECT concat_ws(' ', tables.relname,
        CASE WHEN EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u')) THEN ''
            ELSE named.relname END,
        (SELECT string_agg(CASE WHEN entry LIKE 'md5(%)' THEN substr(entry, 5, length(entry) - 5)
                WHEN entry LIKE '%(%' THEN 'expression' ELSE entry END, ',' ORDER BY place)
            FROM generate_series(1, indnatts) AS place, pg_get_indexdef(indexrelid, place, true) AS entry),
        CASE WHEN indisunique THEN 'UNIQUE' ELSE '' END, CASE WHEN indpred IS NULL THEN '' ELSE 'partial' END)
    FROM pg_index JOIN pg_class AS named ON named.oid = indexrelid JOIN pg_class AS tables ON tables.oid = indrelid
    WHERE tables.relnamespace = 'public'::regnamespace AND tables.relname NOT IN ('schema_version', 'group_commit', 'server', 'dispatch_lease')";

const KEYS: &str = "SELECT concat_ws(' ', list.name, key.\"from\", key.\"table\", key.on_delete)
    FROM pragma_table_list AS list JOIN pragma_foreign_key_list(list.name) AS key WHERE list.schema = 'main'";
const POSTGRES_KEYS: &str = "SELECT concat_ws(' ', here.relname, attname, there.relname,
        CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'NO ACTION' END)
    FROM pg_constraint JOIN pg_class AS here ON here.oid = conrelid JOIN pg_class AS there ON there.oid = confrelid
    JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'";

fn sqlite() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
    connection
}

/// Makes a database with the schema; `None` where PostgreSQL is not installed.
fn postgres() -> Option<TestDatabase> {
    let database = TestDatabase::fresh()?;
    POSTGRES_MIGRATIONS.iter().for_each(|step| drop(database.ask(step.sql)));
    Some(database)
}

#[test]
fn both_engines_have_the_same_tables_columns_indexes_and_keys() {
    let (sqlite, Some(postgres)) = (sqlite(), postgres()) else { return };
    for (what, ours, theirs) in
        [("columns", COLUMNS, POSTGRES_COLUMNS), ("indexes", INDEXES, POSTGRES_INDEXES), ("keys", KEYS, POSTGRES_KEYS)]
    {
        let mut query = sqlite.prepare(ours).unwrap();
        let found = query.query_map((), |row| row.get::<_, String>(0)).unwrap();
        let found: BTreeSet<String> = found.map(|line| line.unwrap().trim().to_owned()).collect();
        let others: BTreeSet<String> = postgres.ask(theirs).iter().map(|line| line.trim().to_owned()).collect();
        assert!(found.len() > 10, "{found:?}");
        let only = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect::<Vec<_>>();
        assert_eq!(only(&found, &others), only(&others, &found), "{what} of SQLite and PostgreSQL");
    }
}

#[test]
fn postgresql_takes_every_statement_and_knows_the_types_of_its_values() {
    let (sqlite, Some(postgres)) = (sqlite(), postgres()) else { return };
    let mut taken = 0;
    for (file, sql) in query_plans::statements() {
        // The test of the dispatcher in memory asks SQLite about itself. The servers of a database are in PostgreSQL alone.
        let is_part = sqlite.prepare(&sql).is_err();
        if file == "in_memory.rs" || file == "both_engines.rs" || (is_part && file != "servers.rs") {
            continue;
        }
        let types = "SELECT array_to_string(parameter_types, ' ') FROM pg_prepared_statements";
        let types =
            postgres.ask(&format!("PREPARE taken AS {}; {types}", rewrite(&sql).text)).pop().unwrap_or_default();
        // A number of 32 bits would be too small for an id or a time.
        let is_known = |kind: &str| ["bigint", "text", "bytea"].contains(&kind);
        assert!(types.split_whitespace().all(is_known), "{file}: {types}: {sql}");
        taken += 1;
    }
    assert!(taken > 150, "only {taken} statements were found");
}
