//! Tests of the variables that a job sees.

use std::os::unix::ffi::OsStringExt;

use super::*;

fn of(policy: Environment, own: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = own.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let text = |part: OsString| part.into_string().expect("text");
    of_jobs(policy, own).into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn names(policy: Environment, own: &[&str]) -> Vec<String> {
    let own: Vec<_> = own.iter().map(|name| (*name, "x")).collect();
    of(policy, &own).into_iter().map(|(name, _)| name).collect()
}

const OF_THE_WORKER: [&str; 12] = [
    "CONFIG_PATH",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "STATE_DIRECTORY",
    "JOB_RUNNER_WORKER_SECRET",
    "JOB_RUNNER_WORKER_SECRET_FILE",
    "JOB_RUNNER_WORKER_API_KEY",
    "JOB_RUNNER_WORKER_",
];

#[test]
fn what_is_the_workers_own_is_never_passed() {
    for policy in [Environment::Inherit, Environment::Clean] {
        assert_eq!(names(policy, &OF_THE_WORKER), [""; 0], "{policy:?}");
    }
}

#[test]
fn everything_else_is_inherited_as_it_is() {
    let own = [
        ("PATH", "/usr/bin:/bin"),
        ("LD_PRELOAD", "x.so"),
        ("JOB_RUNNER_HOME", "/srv"),
        ("job_runner_worker_secret", "not ours: names have case"),
        ("CONFIG_PATH_OF_THE_JOB", "y"),
        ("MY_CONFIG_PATH", "z"),
        ("EMPTY", ""),
        ("LINES", "a\nb=c"),
    ];
    let wanted: Vec<_> = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(of(Environment::Inherit, &own), wanted);
}

#[test]
fn a_clean_environment_is_a_short_list() {
    let own = [
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "USER",
        "LOGNAME",
        "SHELL",
        "LC_ALL",
        "AWS_SECRET",
        "LD_PRELOAD",
        "PATHS",
        "path",
    ];
    assert_eq!(names(Environment::Clean, &own), own[..7]);
}

#[test]
fn a_clean_environment_has_nothing_that_the_worker_has_not() {
    assert_eq!(names(Environment::Clean, &["HOME"]), ["HOME"]);
    assert_eq!(names(Environment::Clean, &[]), [""; 0]);
}

#[test]
fn names_and_values_need_not_be_text() {
    let odd = || OsString::from_vec(vec![0xff, 0xfe]);
    assert_eq!(of_jobs(Environment::Inherit, [(odd(), odd())].into_iter()), [(odd(), odd())]);
    assert_eq!(
        of_jobs(Environment::Clean, [("PATH".into(), odd()), (odd(), odd())].into_iter()),
        [("PATH".into(), odd())]
    );
    let ours = OsString::from_vec(b"JOB_RUNNER_WORKER_\xff".to_vec());
    assert_eq!(of_jobs(Environment::Inherit, [(ours, odd())].into_iter()), []);
}
