//! Tests that a file in use is not exclusive, whoever uses it and however.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

fn file() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("script");
    fs::write(&path, "#!/bin/sh\n").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).expect("our own file");
    (folder, path)
}

fn refusal(path: &Path) -> Option<NotExclusive> {
    ExclusiveFile::open(path).err()
}

/// Waits until nobody has the file: a child that another test forks has all files of this process until it executes its
/// program.
fn exclusive(path: &Path) -> ExclusiveFile {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match ExclusiveFile::open(path) {
            Ok(file) => return file,
            Err(refusal) => assert!(Instant::now() < deadline, "{refusal:?}"),
        }
        thread::yield_now();
    }
}

#[test]
fn a_file_that_nobody_has_open_is_exclusive_again_and_again() {
    let (_folder, path) = file();
    for _ in 0..2 {
        drop(exclusive(&path));
    }
}

#[test]
fn a_file_that_is_read_or_written_is_not_exclusive_until_it_is_closed() {
    let (_folder, path) = file();
    let (reader, writer) = (File::open(&path), OpenOptions::new().append(true).open(&path));
    assert_eq!(refusal(&path), Some(NotExclusive::ThisFile));
    drop(reader);
    assert_eq!(refusal(&path), Some(NotExclusive::ThisFile));
    drop(writer);
    drop(exclusive(&path));
}

#[test]
fn a_file_that_another_process_reads_is_not_exclusive() {
    let (_folder, path) = file();
    let mut reader =
        Command::new("sleep").arg("1000").stdin(File::open(&path).expect("the file")).spawn().expect("sleep");
    assert_eq!(refusal(&path), Some(NotExclusive::ThisFile));
    reader.kill().expect("our child");
    reader.wait().expect("our child");
    drop(exclusive(&path));
}

#[test]
fn a_file_that_is_executed_is_not_exclusive() {
    let (_folder, path) = file();
    fs::copy("/bin/sleep", &path).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("our own file");
    let mut program = Command::new(&path).arg("1000").spawn().expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).expect("our own file");
    assert_eq!(refusal(&path), Some(NotExclusive::ThisFile));
    program.kill().expect("our child");
    program.wait().expect("our child");
}

#[test]
fn a_file_with_a_second_name_or_another_mode_is_not_exclusive() {
    let (folder, path) = file();
    let second = folder.path().join("second");
    fs::hard_link(&path, &second).expect("a second name");
    assert_eq!(refusal(&path), Some(NotExclusive::ThisFile));
    fs::remove_file(&second).expect("the second name");
    for mode in [0o700, 0o644, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
        assert_eq!(refusal(&path), Some(NotExclusive::ThisFile), "{mode:o}");
    }
}

#[test]
fn what_is_no_file_is_not_exclusive_and_blocks_nobody() {
    let (folder, path) = file();
    let [link, pipe, missing] = ["link", "pipe", "missing"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    for path in [&link, &pipe, &missing, folder.path()] {
        assert_eq!(refusal(path), Some(NotExclusive::ThisFile), "{}", path.display());
    }
}

#[test]
fn a_file_system_without_leases_has_no_exclusive_file() {
    // A directory stands for such a file system: the kernel refuses its lease with the same error.
    let folder = tempfile::tempdir().expect("a folder");
    let refused = syscall::lease(File::open(folder.path()).expect("a directory").as_fd()).expect_err("no lease");
    assert_eq!(of_lease(&refused), NotExclusive::AnyFile);
    assert_eq!(of_lease(&io::Error::from_raw_os_error(libc::EAGAIN)), NotExclusive::ThisFile);
}

#[test]
fn who_opens_the_file_meanwhile_waits_and_disturbs_nobody() {
    let (_folder, path) = file();
    let mut exclusive = exclusive(&path);
    let opener = thread::spawn({
        let path = path.clone();
        move || fs::read_to_string(path)
    });
    // The kernel says in the list of leases that one is being broken: the opener waits, and its signal was sent.
    let breaking = || fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.contains("BREAKING"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !breaking() {
        assert!(Instant::now() < deadline, "nobody waits");
        thread::yield_now();
    }
    assert!(!opener.is_finished());
    exclusive.empty().expect("our own file");
    exclusive.fill(b"new").expect("our own file");
    drop(exclusive);
    assert_eq!(opener.join().expect("no panic").expect("a text"), "new");
}

#[test]
fn only_an_empty_file_is_filled() {
    let (_folder, path) = file();
    let mut exclusive = exclusive(&path);
    assert!(exclusive.fill(b"more").is_err());
}
