use super::*;

fn parsed(words: &[&str]) -> Result<WorkerCommandLine, clap::Error> {
    let words = ["job_runner_worker"].iter().chain(words).map(OsString::from);
    WorkerCommandLine::try_parse_from(words.map(|word| with_two_dashes(word, &ONE_DASH)))
}

#[test]
fn a_restart_has_its_code_by_whatever_name() {
    for words in [
        ["--restart-exit-code", "47"],
        ["-restart-exit-code", "47"],
        ["--restart-exit-status", "47"],
        ["-restart-exit-status", "47"],
    ] {
        assert_eq!(parsed(&words).unwrap().restart_exit_code, Some(47), "{words:?}");
        let one_word = format!("{}={}", words[0], words[1]);
        assert_eq!(parsed(&[&one_word]).unwrap().restart_exit_code, Some(47), "{one_word}");
    }
    assert_eq!(parsed(&[]).unwrap().restart_exit_code, None);
    for bad in ["0", "256", "-1", "x", ""] {
        assert!(parsed(&["-restart-exit-code", bad]).is_err(), "{bad}");
    }
    assert!(parsed(&["-restart-exit"]).is_err(), "nothing else may begin with one dash");
}

#[test]
fn a_running_worker_is_asked_one_thing_at_a_time() {
    assert!(parsed(&["--sleep", "--json"]).unwrap().sleep);
    assert!(parsed(&["--wake"]).unwrap().wake);
    assert!(parsed(&["--retry-dead-letters", "--json"]).unwrap().retry_dead_letters);
    for bad in [&["--sleep", "--wake"][..], &["--status", "--sleep"], &["--check-config", "--wake"], &["--json"]] {
        assert!(parsed(bad).is_err(), "{bad:?}");
    }
}
