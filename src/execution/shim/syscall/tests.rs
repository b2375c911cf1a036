//! Tests of a child that borrows its parent's memory. `spawn` requires a caller with one thread, because the child must
//! find the memory unchanged; a test harness has more threads, which do not touch the memory of this one.

use std::fs::File;
use std::io::Read;

use nix::sys::wait::{WaitStatus, waitpid};

use super::*;

/// Starts `/bin/sh -c <text>`, or another file in its place, and returns its output and status.
fn run(file: &str, text: &str, envp: &[&CStr]) -> Result<(String, i32), SpawnError> {
    let words = ["sh", "-c", text].map(|word| CString::new(word).expect("no NUL"));
    let (path, null) = (CString::new(file).expect("no NUL"), File::open("/dev/null").expect("it is there"));
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    use std::os::fd::AsFd;
    let (stdin, output) = (null.as_fd(), write.as_fd());
    let pid = spawn(&ExecPlan { path: &path, argv: &words, envp, stdin, output, cgroup: None })?;
    drop(write);
    let mut said = String::new();
    File::from(read).read_to_string(&mut said).expect("its output");
    match waitpid(pid, None).expect("our child") {
        WaitStatus::Exited(_, code) => Ok((said, code)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_child_has_what_it_was_given() {
    let said =
        run("/bin/sh", "echo $A; ps -o sid= -p $$ | tr -d ' '; echo $$; exit 3", &[c"A=1", c"PATH=/bin:/usr/bin"]);
    let (said, code) = said.expect("a child");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], code), ("1", 3));
    assert_eq!(lines[1], lines[2], "a session of its own");
}

#[test]
fn what_cannot_be_executed_is_said_in_the_words_of_the_system() {
    for (file, errno) in [("/no/such", libc::ENOENT), ("/etc/passwd", libc::EACCES), ("/", libc::EACCES)] {
        match run(file, "", &[]) {
            Err(SpawnError::Exec(e)) => assert_eq!(e.raw_os_error(), Some(errno), "{file}"),
            other => panic!("{file}: {other:?}"),
        }
    }
}
