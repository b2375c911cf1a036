//! Tests of the file commands: a tree before and the tree after, and ways out of the roots that are refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::utimes;
use nix::sys::time::{TimeVal, TimeValLike};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Directory with files, which it lists as lines.
struct Tree(TempDir);

impl Tree {
    fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().expect("a directory"));
        for (name, content) in files {
            let path = tree.0.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, content).expect("written");
        }
        tree
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("text").to_owned()
    }

    fn transfer(&self, source: &str, destination: &str) -> Transfer {
        Transfer { source: self.path(source), destination: self.path(destination) }
    }

    /// Lists all files with their content, and links with their targets.
    fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.0.path(), "", &mut found);
        found.sort();
        found
    }
}

fn list(directory: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("a kind");
        if kind.is_symlink() {
            found.push(format!("{name} -> {}", fs::read_link(entry.path()).expect("a link").display()));
        } else if kind.is_dir() {
            found.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push(format!("{name}={}", fs::read_to_string(entry.path()).expect("text")));
        }
    }
}

const ANYWHERE: &[PathBuf] = &[];

fn anywhere() -> Roots<'static> {
    Roots::new(ANYWHERE)
}

/// Sets the time of the last change, and returns it as it is part of a name.
fn change_at(tree: &Tree, name: &str) -> String {
    let at = TimeVal::seconds(1_700_000_000);
    utimes(Path::new(&tree.path(name)), &at, &at).expect("a time");
    DateTime::from_timestamp(1_700_000_000, 0)
        .expect("a time")
        .with_timezone(&Local)
        .format("%Y-%m-%d_%H%M%S")
        .to_string()
}

#[test]
fn what_is_moved_out_of_the_way_has_its_time_in_its_name_and_replaces_nothing() {
    let tree = Tree::of(&[("a", "1")]);
    let at = change_at(&tree, "a");
    fs::write(tree.path(&format!("a-{at}")), "2").expect("written");
    fs::write(tree.path(&format!("a-{at}~1")), "3").expect("written");
    move_out_of_way(&anywhere(), &tree.path("a")).expect("moved");
    assert_eq!(tree.listing(), [format!("a-{at}=2"), format!("a-{at}~1=3"), format!("a-{at}~2=1")]);
    move_out_of_way(&anywhere(), &tree.path("a")).expect("a missing one is fine");
    move_out_of_way(&anywhere(), &tree.path("none/a")).expect("so is one in a missing directory");
}

#[test]
fn what_is_moved_to_final_keeps_what_was_there() {
    let tree = Tree::of(&[("new/frame", "2"), ("final", "1")]);
    let at = change_at(&tree, "final");
    move_to_final(&anywhere(), &tree.transfer("new", "final")).expect("moved");
    assert_eq!(tree.listing(), [format!("final-{at}=1"), "final/".to_owned(), "final/frame=2".to_owned()]);
    move_to_final(&anywhere(), &tree.transfer("new", "final")).expect("a missing source is fine");
    assert!(tree.listing().contains(&"final/frame=2".to_owned()), "and leaves what is there");
}

#[test]
fn a_copy_overwrites_and_makes_its_directory_and_needs_its_source() {
    let tree = Tree::of(&[("a", "new"), ("b", "old")]);
    fs::set_permissions(tree.path("a"), fs::Permissions::from_mode(0o750)).expect("set");
    copy_file(&anywhere(), &tree.transfer("a", "b")).expect("copied");
    copy_file(&anywhere(), &tree.transfer("a", "x/y/c")).expect("copied");
    assert_eq!(tree.listing(), ["a=new", "b=new", "x/", "x/y/", "x/y/c=new"]);
    assert_eq!(fs::metadata(tree.path("b")).expect("a file").permissions().mode() & 0o777, 0o750);
    copy_file(&anywhere(), &tree.transfer("none", "b")).expect_err("a missing source");
    copy_file(&anywhere(), &tree.transfer("x", "b")).expect_err("a directory");
    copy_file(&anywhere(), &tree.transfer("a", "x")).expect_err("over a directory");
    assert_eq!(tree.listing(), ["a=new", "b=new", "x/", "x/y/", "x/y/c=new"], "nothing is left of a failed copy");
}

#[test]
fn a_counter_goes_on_after_the_highest_number() {
    let tree = Tree::of(&[("a", "1"), ("b", "2"), ("film.mkv", "x"), ("film1.mkv", "x")]);
    move_with_counter(&anywhere(), &tree.transfer("a", "film.mkv")).expect("moved");
    fs::write(tree.path("film041.mkv"), "3").expect("written");
    move_with_counter(&anywhere(), &tree.transfer("b", "film.mkv")).expect("moved");
    assert_eq!(tree.listing(), ["film.mkv=x", "film001.mkv=1", "film041.mkv=3", "film042.mkv=2", "film1.mkv=x"]);
    move_with_counter(&anywhere(), &tree.transfer("a", "film.mkv")).expect_err("a missing source");
    fs::write(tree.path("c"), "4").expect("written");
    move_with_counter(&anywhere(), &tree.transfer("c", "plain")).expect("moved");
    assert!(tree.listing().contains(&"plain001=4".to_owned()));
}

#[test]
fn a_file_is_written_as_a_whole() {
    let tree = Tree::of(&[("a.py", "old")]);
    write(&anywhere(), &tree.path("a.py"), b"new").expect("written");
    assert_eq!(tree.listing(), ["a.py=new"]);
    write(&anywhere(), &tree.path("none/a.py"), b"new").expect_err("a missing directory");
}

#[test]
fn a_file_is_removed_and_a_directory_is_not() {
    let tree = Tree::of(&[("a", ""), ("d/b", ""), ("kept", "")]);
    symlink(tree.path("kept"), tree.path("link")).expect("a link");
    for name in ["a", "link", "none", "none/a"] {
        remove_file(&anywhere(), &tree.path(name)).expect(name);
    }
    assert!(matches!(remove_file(&anywhere(), &tree.path("d")), Err(FileError::Directory(_))));
    assert_eq!(tree.listing(), ["d/", "d/b=", "kept="]);
}

#[test]
fn a_tree_is_removed_without_what_its_links_lead_to() {
    let tree = Tree::of(&[("t/a/b/c", ""), ("t/d", ""), ("kept/e", "")]);
    symlink(tree.path("kept"), tree.path("t/a/link")).expect("a link");
    symlink(tree.path("kept"), tree.path("link")).expect("a link");
    for name in ["t", "none", "link", "none/t"] {
        remove_tree(&anywhere(), &tree.path(name)).expect(name);
    }
    assert_eq!(tree.listing(), ["kept/", "kept/e="]);
}

#[test]
fn a_tree_that_is_too_high_up_is_told_from_others() {
    // Only the decision is tested: a mistake here is not to cost the machine.
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    for path in ["/", "/usr", "/etc/", "/usr/../usr", "//", &home, "/usr/bin/../.."] {
        assert!(is_too_high(Path::new(path)), "{path}");
    }
    let tree = Tree::of(&[("a/b", "")]);
    for path in [tree.path("a"), tree.path("none"), "/usr/share".to_owned()] {
        assert!(!is_too_high(Path::new(&path)), "{path}");
    }
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let tree = Tree::of(&[]);
    let mut path = tree.0.path().to_owned();
    for _ in 0..=MAX_DEPTH {
        path.push("d");
    }
    fs::create_dir_all(&path).expect("made");
    assert!(matches!(remove_tree(&anywhere(), &tree.path("d")), Err(FileError::TooDeep(_))));
}

#[test]
fn no_way_leads_out_of_the_roots() {
    let tree = Tree::of(&[("root/in", "1"), ("root/d/e", "2"), ("out/secret", "3")]);
    symlink(tree.path("out"), tree.path("root/link")).expect("a link");
    symlink("../out/secret", tree.path("root/file")).expect("a link");
    symlink(format!("/proc/self/root{}", tree.path("out")), tree.path("root/magic")).expect("a link");
    let roots = [PathBuf::from(tree.path("root"))];
    let roots = Roots::new(&roots);
    let before = tree.listing();
    let ways = ["out/secret", "root/../out/secret", "root/link/secret", "root/magic/secret", "root"];
    for way in ways.map(|way| tree.path(way)) {
        let inside = tree.path("root/in");
        let to = Transfer { source: inside.clone(), destination: way.clone() };
        let from = Transfer { source: way.clone(), destination: inside };
        move_out_of_way(&roots, &way).expect_err(&way);
        move_to_final(&roots, &to).expect_err(&way);
        move_to_final(&roots, &from).expect_err(&way);
        move_with_counter(&roots, &to).expect_err(&way);
        move_with_counter(&roots, &from).expect_err(&way);
        copy_file(&roots, &to).expect_err(&way);
        copy_file(&roots, &from).expect_err(&way);
        remove_tree(&roots, &way).expect_err(&way);
        remove_file(&roots, &way).expect_err(&way);
        write(&roots, &way, b"").expect_err(&way);
    }
    copy_file(&roots, &tree.transfer("root/file", "root/copy")).expect_err("a link that leads out is not read");
    assert_eq!(tree.listing(), before);
    copy_file(&roots, &tree.transfer("root/in", "root/x/y/copy")).expect("beneath the root");
    remove_tree(&roots, &tree.path("root/d")).expect("beneath the root");
    symlink("in", tree.path("root/inner")).expect("a link");
    copy_file(&roots, &tree.transfer("root/inner", "root/z")).expect("a link that stays");
    assert_eq!(fs::read_to_string(tree.path("root/z")).expect("a copy"), "1");
}

proptest! {
    #[test]
    fn no_path_is_too_strange(path in "[a./]{0,12}") {
        let tree = Tree::of(&[("root/a/a", "1"), ("a", "2")]);
        let roots = [PathBuf::from(tree.path("root"))];
        let _ = remove_tree(&Roots::new(&roots), &tree.path(&format!("root/{path}")));
        prop_assert!(tree.listing().contains(&"a=2".to_owned()), "{}", path);
        prop_assert!(tree.listing().contains(&"root/".to_owned()), "{}", path);
    }
}
