//! Tests that the end of a process is seen whether or not its parent reaps it.

use std::process::{Child, Command};

use super::*;

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().expect("a process")
}

fn number(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("a pid")
}

#[test]
fn those_who_are_gone_are_told_from_those_who_are_left() {
    let (mut one, mut other) = (sleeper(), sleeper());
    let mut killed = Killed::default();
    assert!(killed.is_empty());
    killed.add_by_number(number(&one));
    killed.add_by_number(number(&other));
    one.kill().expect("a child");
    // A zombie counts as gone: its parent need not reap it first.
    assert_eq!(killed.wait(Duration::from_millis(200)), [number(&other)]);
    other.kill().expect("a child");
    assert_eq!(killed.wait(Duration::from_secs(20)), Vec::<i32>::new());
    for child in [&mut one, &mut other] {
        child.wait().expect("a child");
    }
}

#[test]
fn nobody_is_waited_for_as_long_as_was_said() {
    let begun = Instant::now();
    assert!(Killed::default().wait(Duration::from_millis(20)).is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_number_that_nobody_has_is_nobody() {
    let mut killed = Killed::default();
    killed.add_by_number(i32::MAX);
    assert!(killed.is_empty());
}
