//! Tests of process entries with unusual names, of tokens, and of kills by record.

use proptest::prelude::*;

use super::*;

/// Returns a line of `/proc/<pid>/stat` as Linux 6.1 wrote it, of a process with that name.
fn line(name: &[u8], state: char) -> Vec<u8> {
    let rest = format!(
        ") {state} 4711 4712 4712 0 -1 4194304 185 0 0 0 0 0 0 0 20 0 1 0 8812345 7450624 \
         992 18446744073709551615 1 1 0 0 0 0 0 4096 65538 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    );
    [b"4712 (", name, rest.as_bytes()].concat()
}

fn sleeper() -> ProcEntry {
    ProcEntry { pid: 4712, parent: 4711, start_time: 8_812_345, zombie: false }
}

#[test]
fn a_line_of_stat_is_read() {
    assert_eq!(stat(4712, &line(b"sleep", 'S')), Some(sleeper()));
}

#[test]
fn the_dead_are_known() {
    for (state, zombie) in
        [('Z', true), ('X', true), ('R', false), ('S', false), ('D', false), ('T', false), ('t', false)]
    {
        assert_eq!(stat(4712, &line(b"sleep", state)).map(|process| process.zombie), Some(zombie), "{state}");
    }
}

#[test]
fn a_name_may_contain_anything() {
    for name in
        [b"a) Z 1 (b".as_slice(), b") (", b"))", b"", b" ", b"\n", b"\xff\xfe", b"4712 (x) Z 1 1", "日本".as_bytes()]
    {
        assert_eq!(stat(4712, &line(name, 'S')), Some(sleeper()), "{}", name.escape_ascii());
    }
}

#[test]
fn what_is_cut_short_is_no_process() {
    let whole = line(b"sleep", 'S');
    for text in [
        b"".as_slice(),
        b"4712",
        b"4712 (sleep",
        b"4712 (sleep)",
        b"4712 (sleep) S",
        b"4712 (sleep) S x 1",
        &whole[..60],
    ] {
        assert_eq!(stat(4712, text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn we_are_a_process_ourselves() {
    let own = i32::try_from(std::process::id()).expect("a pid");
    let found = process(own).expect("ourselves");
    assert!(!found.zombie && found.start_time > 0);
    assert_eq!(found.parent, nix::unistd::getppid().as_raw());
}

#[test]
fn a_token_that_nobody_carries_kills_nobody() {
    assert!(kill_token("no-such-token-75b2f1").is_empty());
}

#[test]
fn a_recorded_process_is_killed_if_it_is_still_that_one() {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
    let pid = i32::try_from(child.id()).expect("a pid");
    let start_time = process(pid).expect("a child").start_time;
    assert!(kill_recorded(pid, start_time + 1).is_empty());
    assert!(child.try_wait().expect("a child").is_none());
    let mut killed = kill_recorded(pid, start_time);
    assert!(!killed.is_empty() && killed.wait(std::time::Duration::from_secs(20)).is_empty());
    child.wait().expect("a child");
    assert!(kill_recorded(pid, start_time).is_empty());
}

proptest! {
    #[test]
    fn any_name_is_passed_over(name in proptest::collection::vec(any::<u8>(), 0..16)) {
        prop_assert_eq!(stat(4712, &line(&name, 'S')), Some(sleeper()));
    }

    #[test]
    fn any_bytes_are_a_process_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = stat(1, &bytes);
    }
}

#[test]
fn between_two_instants_of_one_tick_the_start_is_known() {
    for _ in 0..20 {
        let before = Tick::now();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("a child");
        let (pid, after) = (i32::try_from(child.id()).expect("a pid"), Tick::now());
        assert_eq!(Some(start_time(pid, before, after)), process(pid).map(|process| process.start_time));
        child.kill().expect("killed");
        child.wait().expect("waited for");
    }
}
