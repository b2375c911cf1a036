//! Settings files of both programs: whatever is in one, each message is one line of text.

#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;

use jobrunner::config::{Surroundings, load, load_server};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

fuzz_target!(|data: &[u8]| {
    thread_local!(static FOLDER: OnceCell<TempDir> = const { OnceCell::new() });
    let path: PathBuf = FOLDER.with(|folder| {
        folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder can be made")).path().join("settings.ini")
    });
    fs::write(&path, data).expect("a file can be written");
    let surroundings = Surroundings { working_directory: "/".into(), is_root: true, ..Surroundings::default() };
    match load(Some(&path), &surroundings) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(failure) => [failure.mistakes, failure.warnings].iter().for_each(|said| lines(said)),
    }
    match load_server(&path, &surroundings) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(failure) => [failure.mistakes, failure.warnings].iter().for_each(|said| lines(said)),
    }
});

fn lines(said: &[String]) {
    for line in said {
        assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
    }
}
