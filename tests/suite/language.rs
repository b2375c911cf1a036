//! The language of the code, counted: how documentation begins and how long it is, type names that exist twice, files that
//! import each other in a circle, functions that are long, comments. The figures are printed with `--nocapture`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::layers::{TEST_MODULES, is_word, module_of, rust_files, scan, tokens};

/// How many of a hundred doc blocks may begin with one of [`EMPTY_BEGINNINGS`].
const MAX_EMPTY_BEGINNINGS: f64 = 4.0;
/// How many lines a function has at most.
const MAX_FUNCTION: usize = 80;
/// How many of a hundred lines of code are comments at least, documentation apart.
const MIN_COMMENTS: f64 = 2.0;
/// The fewest words of a doc block.
const MIN_WORDS: usize = 4;

/// Words that say nothing of the subject where a sentence begins with them.
const EMPTY_BEGINNINGS: &[&str] = &[
    "i",
    "it",
    "its",
    "he",
    "his",
    "they",
    "their",
    "them",
    "we",
    "our",
    "ours",
    "us",
    "you",
    "your",
    "this",
    "that",
    "these",
    "those",
    "who",
    "whose",
    "whom",
    "whoever",
    "what",
    "whatever",
    "which",
    "whichever",
    "when",
    "whenever",
    "where",
    "wherever",
    "why",
    "how",
    "somebody",
    "someone",
    "something",
    "everybody",
    "everyone",
    "everything",
    "nobody",
    "nothing",
    "anybody",
    "anyone",
    "anything",
];

/// Type names that may exist in several modules: their module says of what they are.
const IDIOMS: &[&str] = &["Settings", "Error", "Input", "Effect"];

/// Files that import each other in a circle, by the first of them in alphabetical order. The list may only shrink.
const CIRCLES: &[&[&str]] = &[];

/// Words that were replaced, with what is said instead. They may not come back, neither in code nor in comments.
const BANNED: &[(&str, &str)] = &[
    ("office", "app state"),
    ("muster", "worker snapshot"),
    ("crew", "availability"),
    ("roster", "worker table"),
    ("posture", "worker state"),
    ("teller", "fan-out"),
    ("obituary", "a word for the thing"),
    ("doorkeeper", "a word for the thing"),
    ("letterbox", "queue"),
];

struct Source {
    name: String,
    module: Vec<String>,
    text: String,
}

/// The sources of the library, without what is compiled for tests alone.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: std::path::PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        Source { module: module_of(&name), text: fs::read_to_string(&path).unwrap(), name }
    };
    let is_code = |source: &Source| !source.module.iter().any(|step| TEST_MODULES.contains(&step.as_str()));
    rust_files(&src).into_iter().map(read).filter(is_code).collect()
}

/// The doc blocks of a file: the line at which each begins, and its text.
fn docs(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut before = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let found = ["//!", "///"].into_iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?)));
        match found {
            Some((mark, words)) if before == Some(mark) => {
                let (_, block) = blocks.last_mut().expect("a block that has begun");
                block.push('\n');
                block.push_str(words.trim());
            }
            Some((_, words)) => blocks.push((number, words.trim().to_owned())),
            None => {}
        }
        before = found.map(|(mark, _)| mark);
    }
    blocks
}

/// The first word of a doc block that is no heading.
fn first_word(block: &str) -> String {
    let line = block.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let word = line.split(|c: char| !c.is_alphanumeric() && c != '`').find(|word| !word.is_empty());
    word.unwrap_or_default().to_lowercase()
}

/// The functions of a file: the line, the name, and how many lines it has.
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let tokens = tokens(text);
    let word = |i: usize| tokens.get(i).map_or("", |(_, token)| token.as_str());
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|at| word(*at) == "fn" && is_word(word(at + 1))) {
        let mut depth = 0_usize;
        // A declaration without a body ends at its semicolon; an array's type has one in brackets.
        let mut brackets = 0_usize;
        for i in at.. {
            match word(i) {
                "" => break,
                "[" | "(" => brackets += 1,
                "]" | ")" => brackets = brackets.saturating_sub(1),
                ";" if depth == 0 && brackets == 0 => break,
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        found.push((tokens[at].0, word(at + 1).to_owned(), tokens[i].0 - tokens[at].0 + 1));
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The public type names of a file.
fn types(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let word = |i: usize| tokens.get(i).map_or("", |(_, token)| token.as_str());
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if !matches!(word(at), "struct" | "enum" | "trait") || at == 0 {
            continue;
        }
        let is_public = word(at - 1) == "pub" || word(at - 1) == ")";
        if is_public && is_word(word(at + 1)) {
            found.push(word(at + 1).to_owned());
        }
    }
    found
}

/// The files that import each other, in groups. That a module names its own parts is no import.
fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let modules: BTreeMap<&[String], usize> =
        sources.iter().enumerate().map(|(at, source)| (source.module.as_slice(), at)).collect();
    let imports = |source: &Source| {
        let mut to = BTreeSet::new();
        for (_, path) in scan(&source.text, &source.module).inside {
            let leads_to = (1..=path.len()).rev().find_map(|length| modules.get(&path[..length]).copied());
            to.extend(leads_to.filter(|to| !sources[*to].module.starts_with(&source.module)));
        }
        to
    };
    let edges: Vec<BTreeSet<usize>> = sources.iter().map(imports).collect();
    let reached: Vec<BTreeSet<usize>> = (0..sources.len()).map(|from| reach(&edges, from)).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (from, to) in reached.iter().enumerate() {
        let circle = to.iter().filter(|other| reached[**other].contains(&from)).map(|at| sources[*at].name.clone());
        let circle: Vec<String> = circle.collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// What can be reached from one node of a graph.
fn reach(edges: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        for to in &edges[at] {
            if reached.insert(*to) {
                open.push(*to);
            }
        }
    }
    reached
}

/// Says a figure, and remembers what stands against it.
fn judge(figure: &str, faults: &[String], complaints: &mut String) {
    println!("{figure}");
    for fault in faults {
        let _ = writeln!(complaints, "{fault}");
    }
}

#[test]
#[allow(clippy::cast_precision_loss)]
fn documentation_names_its_subject() {
    let (mut all, mut empty, mut short, mut complaints) = (0, Vec::new(), Vec::new(), String::new());
    for source in sources() {
        for (line, block) in docs(&source.text) {
            all += 1;
            let first = first_word(&block);
            if EMPTY_BEGINNINGS.contains(&first.as_str()) {
                empty.push(format!("src/{}:{line}: begins with \"{first}\"", source.name));
            }
            if block.split_whitespace().count() < MIN_WORDS {
                short.push(format!("src/{}:{line}: says too little: {block}", source.name));
            }
        }
    }
    let share = empty.len() as f64 * 100.0 / f64::from(all);
    let too_many: &[String] = if share > MAX_EMPTY_BEGINNINGS { &empty } else { &[] };
    judge(
        &format!("doc blocks that begin with a pronoun or a question word: {share:.1} % of {all}"),
        too_many,
        &mut complaints,
    );
    judge(&format!("doc blocks of fewer than {MIN_WORDS} words: {}", short.len()), &short, &mut complaints);
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn a_public_type_name_exists_once() {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for name in types(&source.text) {
            names.entry(name).or_default().push(source.name.clone());
        }
    }
    let all = names.len();
    let twice = names.into_iter().filter(|(name, files)| files.len() > 1 && !IDIOMS.contains(&name.as_str()));
    let twice: Vec<String> = twice.map(|(name, files)| format!("{name} exists in {}", files.join(", "))).collect();
    let mut complaints = String::new();
    judge(&format!("public type names that exist more than once: {} of {all}", twice.len()), &twice, &mut complaints);
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let found = circles(&sources());
    let is_known =
        |circle: &Vec<String>| CIRCLES.iter().any(|known| circle.iter().map(String::as_str).eq(known.iter().copied()));
    println!("files that import each other in a circle: {} circles", found.len());
    for circle in &found {
        println!("    {}", circle.join(" "));
    }
    let new: Vec<String> = found.iter().filter(|circle| !is_known(circle)).map(|circle| circle.join(" ")).collect();
    assert!(new.is_empty(), "files import each other:\n{}", new.join("\n"));
    assert_eq!(found.len(), CIRCLES.len(), "a circle that is gone leaves the list");
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in sources() {
        found.extend(
            functions(&source.text).into_iter().map(|(line, name, lines)| (lines, source.name.clone(), line, name)),
        );
    }
    found.sort();
    let (longest, file, line, name) = found.last().expect("a function");
    println!("longest function: {longest} lines, {name} in src/{file}:{line}");
    let long = found.iter().filter(|(lines, ..)| *lines > MAX_FUNCTION);
    let long: Vec<String> =
        long.map(|(lines, file, line, name)| format!("src/{file}:{line}: {name} has {lines} lines")).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
#[allow(clippy::cast_precision_loss)]
fn comments_say_why() {
    let (mut lines, mut comments) = (0_usize, 0_usize);
    for source in sources() {
        lines += source.text.lines().count();
        let is_comment = |line: &&str| line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!");
        comments += source.text.lines().map(str::trim_start).filter(is_comment).count();
    }
    let share = comments as f64 * 100.0 / lines as f64;
    println!("comment lines: {share:.1} % of {lines}");
    assert!(share >= MIN_COMMENTS, "{share:.1} % of the lines are comments");
}

#[test]
fn words_that_were_replaced_do_not_come_back() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            for word in line.to_lowercase().split(|c: char| !c.is_alphabetic()) {
                let banned =
                    BANNED.iter().find(|(banned, _)| word == *banned || word.strip_suffix('s') == Some(*banned));
                found.extend(banned.map(|(_, instead)| format!("src/{}:{number}: {word}: say {instead}", source.name)));
            }
        }
    }
    println!("words that were replaced: {}", found.len());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The counters themselves.
mod counters {
    use super::{Source, circles, docs, first_word, functions, module_of, types};

    #[test]
    fn doc_blocks_are_told_apart() {
        let text = "//! A module.\n//!\n//! More.\n\n/// # Errors\n/// What fails.\n// Why.\n/// Second.\nfn f() {}\n";
        let found = docs(text);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 5, 8]);
        assert_eq!(found.iter().map(|(_, block)| first_word(block)).collect::<Vec<_>>(), ["a", "what", "second"]);
    }

    #[test]
    fn functions_are_measured_from_their_names_to_their_ends() {
        let text = "fn a(x: [u8; 2]) {\n    if true {\n    }\n}\ntrait T {\n    fn b(&self);\n}\nfn c() {}\n";
        let found: Vec<_> = functions(text);
        assert_eq!(found, [(1, "a".to_owned(), 4), (8, "c".to_owned(), 1)]);
    }

    #[test]
    fn only_public_types_count() {
        assert_eq!(types("pub struct A; struct B; pub(super) enum C {} pub trait D {}"), ["A", "C", "D"]);
    }

    #[test]
    fn a_circle_is_found_and_a_module_with_its_parts_is_none() {
        let source =
            |name: &str, text: &str| Source { name: name.to_owned(), module: module_of(name), text: text.to_owned() };
        let sources = [
            source("a/mod.rs", "mod b; use self::b::B; use crate::c::C;"),
            source("a/b.rs", "use super::A;"),
            source("c.rs", "use crate::d::D;"),
            source("d.rs", "use crate::c::C;"),
        ];
        assert_eq!(circles(&sources), [["c.rs", "d.rs"]]);
    }
}
