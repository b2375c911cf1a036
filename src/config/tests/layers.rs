//! Tests of the precedence of environment, file and default, and of the origin of values.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::{Origin, Surroundings, load};
use super::{Case, REQUIRED, assert_mentions, with, write_private};

fn state_path(surroundings: &Surroundings) -> Option<PathBuf> {
    surroundings.state_path("job-runner-worker")
}

#[test]
fn the_environment_is_stronger_than_the_file() {
    let case = Case::new().set("JOB_RUNNER_WORKER_CONCURRENT_JOBS", " 9 ");
    let loaded = case.load(with("concurrent_jobs", "7")).expect("loaded");
    assert_eq!(loaded.settings.intake.concurrent_jobs, 9);
    let entry = loaded.effective.iter().find(|entry| entry.key == "concurrent_jobs");
    let origin = Origin::Environment("JOB_RUNNER_WORKER_CONCURRENT_JOBS".to_owned());
    assert_eq!(entry.expect("the entry").origin, origin);
}

#[test]
fn a_mistake_in_the_file_does_not_matter_where_the_environment_decides() {
    let case = Case::new().set("JOB_RUNNER_WORKER_LINGER", "3");
    assert!(case.load(with("linger", "%(nothing)s")).is_ok());
}

#[test]
fn the_environment_is_taken_literally() {
    let case = Case::new().set("JOB_RUNNER_WORKER_SECRET", "a%(api_key)s ; b");
    let loaded = case.load(REQUIRED).expect("loaded");
    assert_eq!(loaded.settings.rest().secret.expose(), b"a%(api_key)s ; b");
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let case = Case::new().set("JOB_RUNNER_WORKER_WS_SERVER_PORT", "http");
    let failure = case.load(REQUIRED).expect_err("a mistake");
    let wanted = ["environment JOB_RUNNER_WORKER_WS_SERVER_PORT: ws_server_port: ", "65535"];
    assert_mentions(&failure.mistakes, &wanted);
}

#[test]
fn an_unknown_variable_is_told_with_what_may_be_meant() {
    let case = Case::new().set("JOB_RUNNER_WORKER_CONCURENT_JOBS", "9");
    let warnings = case.load(REQUIRED).expect("loaded").warnings;
    let wanted = ["JOB_RUNNER_WORKER_CONCURENT_JOBS", "mean JOB_RUNNER_WORKER_CONCURRENT_JOBS?"];
    assert_mentions(&warnings, &wanted);
}

#[test]
fn the_secret_may_stand_in_a_file_of_its_own() {
    let case = Case::new();
    let path = case.folder.path().join("secret");
    write_private(&path, b" from file \n");
    let case = case.set("JOB_RUNNER_WORKER_SECRET_FILE", &path);
    let loaded = case.load(REQUIRED).expect("loaded");
    assert_eq!(loaded.settings.rest().secret.expose(), b" from file ");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    assert_mentions(&case.load(REQUIRED).expect("loaded").warnings, &["can be read by others"]);
}

#[test]
fn a_secret_file_that_cannot_be_used_is_a_mistake() {
    let case = Case::new().set("JOB_RUNNER_WORKER_SECRET_FILE", "/nowhere/secret");
    let failure = case.load(REQUIRED).expect_err("a mistake");
    assert_mentions(&failure.mistakes, &["SECRET_FILE: secret: /nowhere/secret cannot be read"]);
    let case = case.set("JOB_RUNNER_WORKER_SECRET", "too");
    let failure = case.load(REQUIRED).expect_err("a mistake");
    assert_mentions(&failure.mistakes, &["is set, and so is", "set one of them"]);
}

#[test]
fn every_key_is_listed_with_its_origin_and_the_secret_is_not_shown() {
    let case = Case::new().set("JOB_RUNNER_WORKER_LINGER", "2");
    let effective = case.load(REQUIRED).expect("loaded").effective;
    let lines: Vec<_> = effective.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(case.short(&lines).join("\n"), @r"
    api_base_url = https://server.example.com/  (worker.ini:2)
    api_key = key  (worker.ini:3)
    secret = ****  (worker.ini:4)
    ws_server_hostname = ws.example.com  (worker.ini:5)
    broadcaster_server_hostname = broadcaster.example.com  (worker.ini:6)
    concurrent_jobs = 4  (default)
    log_level = info  (default)
    max_log_bytes = 819200  (default)
    ws_server_port = 5555  (default)
    broadcaster_server_port = 5556  (default)
    script_temp_path = /tmp  (default)
    reconnect_after_inactivity = 300  (default)
    run_resource_uri = /api/v1/run/  (default)
    worker_resource_uri = /api/v1/worker/  (default)
    run_log_resource_uri = /api/v1/run_log/  (default)
    kill_request_resource_uri = /api/v1/kill_request/  (default)
    state_path = /home/worker/.local/state/job-runner-worker  (default)
    tls_verify = true  (default)
    ca_file = none  (default)
    ws_url = none  (default)
    kill_grace = 0  (default)
    linger = 2  (environment JOB_RUNNER_WORKER_LINGER)
    leftovers = keep  (default)
    drain_timeout = none  (default)
    incomplete_runs = reset  (default)
    max_attempts = 3  (default)
    log_update_interval = 5  (default)
    environment = inherit  (default)
    redact = *_TOKEN, *_SECRET, *_PASSWORD, *_KEY  (default)
    redact_file = none  (default)
    api_timeout = 30  (default)
    run_timeout = none  (default)
    pid_file = none  (default)
    min_free_bytes = 67108864  (default)
    durability = process  (default)
    restart_exit_code = none  (default)
    ");
}

#[test]
fn without_flag_and_variable_there_is_no_configuration() {
    for flag in [None, Some(Path::new(""))] {
        let case = Case::new().set("JOB_RUNNER_WORKER_SECRET", "x").set("CONFIG_PATH", "");
        let failure = load(flag, &case.surroundings).expect_err("nothing to read");
        assert_eq!(failure.exit.code(), 2);
        assert_mentions(&failure.mistakes, &["no configuration", "CONFIG_PATH"]);
    }
}

#[test]
fn the_flag_wins_over_the_variable_and_says_so() {
    let case = Case::new().set("CONFIG_PATH", "/nowhere.ini");
    let loaded = case.load(REQUIRED).expect("loaded");
    assert_eq!(loaded.settings.rest().api_key.as_str(), "key");
    assert_mentions(&loaded.warnings, &["CONFIG_PATH (/nowhere.ini) is not read", "worker.ini"]);
}

#[test]
fn a_relative_path_is_found_from_the_working_directory() {
    let mut case = Case::new();
    write_private(&case.path(), REQUIRED.as_bytes());
    case.surroundings.working_directory = case.folder.path().to_path_buf();
    let case = case.set("CONFIG_PATH", "worker.ini");
    assert_eq!(load(None, &case.surroundings).expect("loaded").settings.rest().api_key.as_str(), "key");
}

#[test]
fn state_is_kept_where_systemd_says_else_with_the_user_else_with_the_system() {
    let user = Case::new();
    assert_eq!(state_path(&user.surroundings), Some("/home/worker/.local/state/job-runner-worker".into()));
    let user = user.set("XDG_STATE_HOME", "relative");
    assert_eq!(state_path(&user.surroundings), Some("/home/worker/.local/state/job-runner-worker".into()));
    let mut user = user.set("XDG_STATE_HOME", "/xdg");
    assert_eq!(state_path(&user.surroundings), Some("/xdg/job-runner-worker".into()));
    user.surroundings.is_root = true;
    assert_eq!(state_path(&user.surroundings), Some("/var/lib/job-runner-worker".into()));
    let user = user.set("STATE_DIRECTORY", "/var/lib/first:/var/lib/second");
    assert_eq!(state_path(&user.surroundings), Some("/var/lib/first".into()));
}

#[test]
fn a_user_without_a_home_must_say_where_state_is_kept() {
    let mut case = Case::new();
    case.surroundings.variables.clear();
    let failure = case.load(REQUIRED).expect_err("no place for state");
    assert_mentions(&failure.mistakes, &["default: state_path: there is no home directory"]);
    assert!(case.load(with("state_path", "/state")).is_ok());
}

#[test]
fn the_command_line_is_stronger_than_everything_else() {
    let mut case = Case::new().set("JOB_RUNNER_WORKER_RESTART_EXIT_CODE", "46");
    let code = |case: &Case, text: &str| {
        let loaded = case.load(text).expect("loaded");
        let entry = loaded.effective.iter().find(|entry| entry.key == "restart_exit_code").expect("an entry");
        (loaded.settings.daemon.restart_exit_code, entry.origin.to_string())
    };
    let text = super::with("restart_exit_code", "45");
    assert_eq!(code(&case, &text), (Some(46), "environment JOB_RUNNER_WORKER_RESTART_EXIT_CODE".to_owned()));
    case.surroundings.options.insert("restart_exit_code", ("--restart-exit-code", "47".to_owned()));
    assert_eq!(code(&case, &text), (Some(47), "option --restart-exit-code".to_owned()));
}
