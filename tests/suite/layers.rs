//! The layers: the import table in `src/lib.rs` is read, and an import against it fails.
//!
//! Only paths are looked at, not types: every path in code that starts at `crate`, `self` or `super`,
//! in `use` or in an expression, is resolved to the layer it leads to. What stands in a test module
//! behind `#[cfg(test)]` may reach anywhere. A visibility (`pub(in crate::server)`) is no import.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What `run` stays free of beside other layers: a runtime, wire formats, files, the clock.
const IMPURE: &[&str] = &[
    "tokio",
    "serde",
    "serde_json",
    "chrono",
    "std::fs",
    "std::time::SystemTime",
    "SystemTime",
    "Instant::now",
    "std::time::Instant::now",
];

#[test]
fn no_import_breaks_the_table() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = Table::read(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut complaints = table.complaints();
    for path in rust_files(&src) {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
        complaints.extend(table.check(name, &fs::read_to_string(&path).unwrap()));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Modules that are compiled for tests alone.
pub(crate) const TEST_MODULES: &[&str] = &["tests", "histories"];

/// Every source file of the library, in order.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The import table: for each layer (`execution`, `execution/shim`) what it may import.
struct Table(BTreeMap<Vec<String>, Vec<String>>);

impl Table {
    /// Reads the rows ``//! | `layer` | `other`, `other` |``.
    fn read(lib: &str) -> Self {
        let rows = lib.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("//! |")?.split('|');
            let layer = quoted(cells.next()?).pop()?;
            Some((steps(&layer), quoted(cells.next()?)))
        });
        Self(rows.collect())
    }

    /// What is wrong with the table itself.
    fn complaints(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.0.is_empty() {
            said.push("src/lib.rs: no import table".to_owned());
        }
        for (layer, may) in &self.0 {
            for other in may.iter().filter(|o| !self.0.contains_key(&steps(o))) {
                said.push(format!("src/lib.rs: {} may import {other}, which has no row", layer.join("/")));
            }
        }
        said
    }

    /// What one file (named from `src`) does against the table.
    fn check(&self, file: &str, text: &str) -> Vec<String> {
        let module = module_of(file);
        if module.is_empty() || module[0] == "bin" || module.iter().any(|m| TEST_MODULES.contains(&m.as_str())) {
            return Vec::new();
        }
        // The longest row that the file lies under.
        let Some((layer, may)) = self.0.iter().rev().find(|(layer, _)| module.starts_with(layer)) else {
            return vec![format!("src/{file}: the layer {} has no row in src/lib.rs", module[0])];
        };
        let code = scan(text, &module);
        let mut said: Vec<String> =
            code.stray_tests.iter().map(|l| format!("src/{file}:{l}: a tests module without #[cfg(test)]")).collect();
        for (line, path) in code.inside {
            if path.starts_with(layer) {
                continue;
            }
            let shown = format!("src/{file}:{line}: crate::{}", path.join("::"));
            let Some((target, _)) = self.0.iter().rev().find(|(target, _)| path.starts_with(target)) else {
                said.push(format!("{shown} leads to no layer"));
                continue;
            };
            // Who may import a layer may import what lies in it.
            if !may.iter().any(|other| target.starts_with(&steps(other))) {
                said.push(format!("{shown}: {} may not import {}", layer.join("/"), target.join("/")));
            }
        }
        if layer[0] == "run" {
            for (line, path) in code.outside {
                if let Some(what) = impure(&path) {
                    said.push(format!("src/{file}:{line}: run is pure, and this is {what}"));
                }
            }
        }
        said
    }
}

/// `server/store` in steps.
fn steps(layer: &str) -> Vec<String> {
    layer.split('/').map(str::to_owned).collect()
}

/// The names in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `execution/shim/mod.rs` is the module `execution::shim`; `lib.rs` is the root, and empty.
pub(crate) fn module_of(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

/// The entry of [`IMPURE`] that a path from outside the crate leads to, also by a glob.
fn impure(path: &[String]) -> Option<&'static str> {
    IMPURE.iter().copied().find(|entry| {
        let entry: Vec<&str> = entry.split("::").collect();
        let glob = path.len() > 1 && path.last().is_some_and(|p| p == "*");
        path.iter().zip(&entry).all(|(a, b)| a == b) && path.len() >= entry.len()
            || glob && path.len() <= entry.len() && path[..path.len() - 1].iter().zip(&entry).all(|(a, b)| a == b)
    })
}

/// The paths of a file.
#[derive(Default)]
pub(crate) struct Code {
    /// Those inside the crate, from the crate's root.
    pub(crate) inside: Vec<(usize, Vec<String>)>,
    /// The others.
    outside: Vec<(usize, Vec<String>)>,
    /// Lines with a `tests` module that is not only compiled for tests.
    stray_tests: Vec<usize>,
}

/// Collects the paths in `text`, the source of `module`.
pub(crate) fn scan(text: &str, module: &[String]) -> Code {
    let tokens = tokens(text);
    let word = |i: usize| tokens.get(i).map_or("", |(_, t)| t.as_str());
    let mut code = Code::default();
    let mut here = module.to_vec();
    let mut depth = 0;
    let mut inline: Vec<usize> = Vec::new(); // brace depths at which inline modules began
    let mut i = 0;
    while i < tokens.len() {
        let (line, token) = (tokens[i].0, word(i));
        match token {
            "mod" if is_word(word(i + 1)) => {
                let tests = word(i + 1) == "tests";
                let guarded = i >= 7 && (i - 7..i).map(word).eq(["#", "[", "cfg", "(", "test", ")", "]"]);
                if tests && !guarded {
                    code.stray_tests.push(line);
                }
                if word(i + 2) == "{" {
                    if tests && guarded {
                        i = after_block(&tokens, i + 2);
                        continue;
                    }
                    inline.push(depth);
                    here.push(word(i + 1).to_owned());
                    depth += 1;
                }
                i += if word(i + 2) == "{" { 3 } else { 2 };
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            // A path starts at a word that nothing leads to.
            _ if is_word(token) && !matches!(i.checked_sub(1).map(word), Some("::" | ".")) => {
                let (at, mut paths) = (i, Vec::new());
                i = path(&tokens, i, Vec::new(), &mut paths);
                // `pub(in crate::server)` says who may see it, and imports nothing.
                if at >= 3 && (at - 3..at).map(word).eq(["pub", "(", "in"]) {
                    continue;
                }
                // `crate` and `super` alone matter where they get another name, or are all that is imported.
                let renamed = word(i) == "as";
                for (line, path) in paths.into_iter().filter(|(_, p)| p.len() > 1 || renamed) {
                    match resolve(&path, &here) {
                        Some(inside) => code.inside.push((line, inside)),
                        None => code.outside.push((line, path)),
                    }
                }
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    code
}

/// From the crate's root, if the path stays in the crate.
fn resolve(path: &[String], here: &[String]) -> Option<Vec<String>> {
    let mut from = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ => return None,
    };
    for step in path {
        match step.as_str() {
            "crate" | "self" => {}
            "super" => drop(from.pop()),
            other => from.push(other.to_owned()),
        }
    }
    Some(from)
}

/// Reads one path from `i`, with its groups spread out, and returns where it ends.
fn path(
    tokens: &[(usize, String)],
    mut i: usize,
    mut so_far: Vec<String>,
    out: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let word = |i: usize| tokens.get(i).map_or("", |(_, t)| t.as_str());
    let line = tokens.get(i).map_or(0, |(line, _)| *line);
    loop {
        match word(i) {
            "{" => {
                i += 1;
                while !matches!(word(i), "}" | "") {
                    let before = i;
                    i = path(tokens, i, so_far.clone(), out);
                    while !matches!(word(i), "," | "}" | "") {
                        i += 1; // `as name`
                    }
                    i += usize::from(word(i) == "," || i == before);
                }
                return i + 1;
            }
            step if is_word(step) || step == "*" => so_far.push(step.to_owned()),
            // `Vec::<…>`: the path is known well enough.
            _ => break,
        }
        i += 1;
        if word(i) != "::" {
            break;
        }
        i += 1;
    }
    out.push((line, so_far));
    i
}

/// The place behind the block that opens at `open`.
fn after_block(tokens: &[(usize, String)], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, (_, token)) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return i + 1,
            "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

pub(crate) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The words and marks of Rust code with their lines; no comments, no literals.
pub(crate) fn tokens(text: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        let mut token = None;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => i = after_comment(&chars, i),
            '"' => i = after_string(&chars, i + 1, 0, true),
            '\'' if at(i + 1) == '\\' => i = after_quote(&chars, i + 3),
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => i += 1, // a lifetime: its name is read as a word, and leads nowhere
            ':' if at(i + 1) == ':' => {
                let last = found.last().map_or("", |(_, t): &(usize, String)| t.as_str());
                let leading = last == "use" || !(is_word(last) || last == ">");
                token = (!leading).then(|| "::".to_owned());
                i += 2;
            }
            c if word(c) => {
                while word(at(i)) {
                    i += 1;
                }
                let text: String = chars[start..i].iter().collect();
                let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
                let literal = matches!(text.as_str(), "r" | "br" | "cr" | "b" | "c");
                if literal && at(i + hashes) == '"' {
                    i = after_string(&chars, i + hashes + 1, hashes, !text.ends_with('r'));
                } else if text == "r" && hashes == 1 {
                    i += 1; // a raw word
                } else {
                    token = Some(text);
                }
            }
            c => {
                token = (!c.is_whitespace()).then(|| c.to_string());
                i += 1;
            }
        }
        let end = i.min(chars.len());
        found.extend(token.map(|t| (line, t)));
        line += chars[start..end].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// Behind a block comment; they nest.
fn after_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') if depth == 1 => return i + 2,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
    }
    chars.len()
}

/// Behind the quote with this many hashes that ends a string.
fn after_string(chars: &[char], mut i: usize, hashes: usize, escapes: bool) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' if escapes => i += 1,
            '"' if chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                return i + 1 + hashes;
            }
            _ => {}
        }
        i += 1;
    }
    chars.len()
}

/// Behind the next single quote.
fn after_quote(chars: &[char], i: usize) -> usize {
    chars.iter().skip(i).position(|c| *c == '\'').map_or(chars.len(), |n| i + n + 1)
}

/// The checker itself: made-up files of a made-up crate.
mod checker {
    use super::Table;

    const TABLE: &str = "\
//! | layer | may import |
//! |---|---|
//! | `run` | |
//! | `wire` | `run` |
//! | `report` | `run`, `wire` |
//! | `execution` | `run`, `wire`, `report` |
//! | `execution/shim` | `run`, `wire` |
//! | `daemon` | `run`, `report`, `execution` |
";

    /// Every line that ends in `// BAD: words` is complained of with these words, and no other line.
    fn check(file: &str, text: &str) {
        let said = Table::read(TABLE).check(file, text);
        let expected: Vec<(String, &str)> = (1..)
            .zip(text.lines())
            .filter_map(|(n, line)| Some((format!("src/{file}:{n}:"), line.split_once("// BAD: ")?.1)))
            .collect();
        let told = said.len() == expected.len()
            && expected.iter().all(|(place, words)| said.iter().any(|s| s.starts_with(place) && s.contains(words)));
        assert!(told, "{file}: {text}\nsaid {said:#?}");
    }

    #[test]
    fn an_import_in_the_table_is_allowed() {
        check("report/mod.rs", "use crate::run::{RunId, Secret}; use crate::wire; use super::run;");
        check("execution/shim/mod.rs", "use crate::execution::shim::x; use super::shim::y; use self::z;");
        check("execution/spool.rs", "use super::shim; use crate::execution::shim::Order; use super::*;");
        check("daemon/mod.rs", "use crate::{run, report::Reporter, execution};");
        check("bin/x.rs", "use jobrunner::daemon;");
        check("lib.rs", "pub mod anything;");
        check("wire/key.rs", "pub(in crate::report) fn f() {}");
        check("wire/mod.rs", "use serde::Serialize; pub(crate) fn f(&self) { self.x(); }");
    }

    #[test]
    fn a_backward_import_is_reported() {
        let bad = r#"
use crate::report::Reporter; // BAD: wire may not import report
use crate::{
    run::RunId,
    execution::{self}, // BAD: crate::execution: wire may not import execution
    report::outbox as other, // BAD: crate::report::outbox
    daemon::*, // BAD: wire may not import daemon
};
use crate // BAD: wire may not import report
    ::report as other;
type T = Vec<crate::execution::Door>; // BAD: wire may not import execution
fn f<'a>() { g(&crate::report::X) } // BAD: wire may not import report
macro_rules! m { () => { $crate::daemon::f() } } // BAD: wire may not import daemon
"#;
        check("wire/mod.rs", bad);
    }

    #[test]
    fn an_import_by_another_path_is_reported() {
        let bad = r"
use super::super::report::X; // BAD: run may not import report
use super::policy;
mod inner {
    use super::super::policy;
    use super::super::super::wire; // BAD: run may not import wire
}
mod after { use super::x; }
use crate::*; // BAD: leads to no layer
use super::super::*; // BAD: leads to no layer
use crate as all; // BAD: leads to no layer
use crate::helpers::f; // BAD: leads to no layer
";
        check("run/key.rs", bad);
        check("run/mod.rs", "use super::wire; // BAD: run may not import wire");
    }

    #[test]
    fn the_shim_is_a_layer_of_its_own() {
        let bad = r"
use crate::execution::Settings; // BAD: execution/shim may not import execution
use super::pool; // BAD: crate::execution::pool
use crate::{execution::{spool, shim::record}}; // BAD: crate::execution::spool
use crate::report::LogSource; // BAD: execution/shim may not import report
";
        check("execution/shim.rs", bad);
        check("execution/shim/mod.rs", bad);
        check("execution/shim/tree.rs", "use super::super::pool; // BAD: may not import execution");
    }

    #[test]
    fn run_is_pure() {
        let bad = r"
use std::{fmt::*, time::{Duration, Instant}};
use self::Phase::*;
fn step(now: Instant) {}
use tokio::time::Duration; // BAD: tokio
use ::tokio::spawn; // BAD: tokio
#[derive(serde::Serialize)] struct X; // BAD: serde
use serde_json as json; // BAD: serde_json
use std::{fmt, fs::File}; // BAD: std::fs
use std::{time::{Duration, SystemTime}}; // BAD: SystemTime
use std::time::*; // BAD: SystemTime
fn f() { chrono::Utc::now(); } // BAD: chrono
fn f() { Instant::now(); } // BAD: Instant::now
fn f() { std::time::Instant::now(); } // BAD: Instant::now
";
        check("run/claim.rs", bad);
        check("wire/claim.rs", "use serde::Serialize; use std::fs; use tokio::spawn;");
    }

    #[test]
    fn only_code_counts() {
        let tricky = r##"
//! [`crate::report`]
/* use crate::wire; /* nested */ use crate::report; */ fn f() {}
const A: &str = "crate::wire \" crate::report";
const B: &str = r#"" crate::wire"#;
const C: &[u8] = b"crate::wire";
const Q: char = '"'; use crate::wire; // BAD: run may not import wire
const E: char = '\''; use crate::wire; // BAD: run may not import wire
fn f<'a>(x: &'a str) -> &'static str { r"\" } use crate::wire; // BAD: run may not import wire
const L: &str = "
"; use crate::wire; // BAD: run may not import wire
"##;
        check("run/key.rs", tricky);
    }

    #[test]
    fn tests_may_reach_anywhere_but_only_as_tests() {
        check("run/tests.rs", "use crate::report::X;");
        check("run/key/tests.rs", "use crate::report::X;");
        let inline = r"
#[cfg(test)]
mod tests { use crate::report::X; fn f() { if true {} } }
use crate::report::X; // BAD: run may not import report
mod tests; // BAD: without #[cfg(test)]
";
        check("run/key.rs", inline);
    }

    #[test]
    fn every_layer_needs_a_row() {
        for (file, layer) in [("helpers.rs", "helpers"), ("attic/mod.rs", "attic")] {
            let said = Table::read(TABLE).check(file, "");
            assert_eq!(said, [format!("src/{file}: the layer {layer} has no row in src/lib.rs")]);
        }
        assert_eq!(Table::read("//! nothing").complaints(), ["src/lib.rs: no import table"]);
        let table = Table::read("//! | `run` | `nowhere` |");
        assert_eq!(table.complaints(), ["src/lib.rs: run may import nowhere, which has no row"]);
        assert!(Table::read(TABLE).complaints().is_empty());
    }
}
