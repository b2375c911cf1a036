use std::path::PathBuf;

use super::{KEYS, load_server};
use crate::config::{ConfigExit, Surroundings};
use crate::server::Database;

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    let home = [("HOME", "/home/operator")];
    let variables = home.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into()));
    Surroundings {
        variables: variables.collect(),
        working_directory: PathBuf::from("/work"),
        ..Surroundings::default()
    }
}

/// Loads a file and returns its effective settings, or its mistakes, without the path of its directory.
fn said(content: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job_runner.ini");
    std::fs::write(&path, content).unwrap();
    let lines: Vec<String> = match load_server(&path, &surroundings(variables)) {
        Ok(loaded) => {
            let warnings = loaded.warnings.iter().map(|warning| format!("warning: {warning}"));
            warnings.chain(loaded.effective.iter().map(ToString::to_string)).collect()
        }
        Err(failure) => {
            assert_eq!(failure.exit, ConfigExit::Config);
            let warnings = failure.warnings.iter().map(|warning| format!("warning: {warning}"));
            warnings.chain(failure.mistakes).collect()
        }
    };
    lines.join("\n").replace(folder.path().to_str().unwrap(), "")
}

#[test]
fn nothing_must_be_set() {
    insta::assert_snapshot!(said("[job_runner]\n", &[]), @r"
    data_path = /home/operator/.local/state/job-runner  (default)
    database = sqlite  (default)
    database_password_file = none  (default)
    listen = 127.0.0.1:8000  (default)
    broadcaster_listen = 127.0.0.1:5556  (default)
    events_listen = 127.0.0.1:5555  (default)
    websocket_listen = none  (default)
    public = no  (default)
    host_names = none  (default)
    allowed_origins = none  (default)
    listeners = 500  (default)
    listener_ping = 20  (default)
    websocket_listeners = 500  (default)
    connections = 4000  (default)
    strangers_of_address = 200  (default)
    request_memory_bytes = 50331648  (default)
    request_timeout = 20  (default)
    idle_timeout = 120  (default)
    stop_grace = 5  (default)
    time_zone = Europe/Amsterdam  (default)
    page_limit = 200  (default)
    max_body_bytes = 33554432  (default)
    ping_interval = 300  (default)
    silent_intervals = 3  (default)
    ping_margin = 15  (default)
    announce_interval = 5  (default)
    max_losses = 3  (default)
    worker_writes = none  (default)
    flamenco_listen = none  (default)
    flamenco_task_logs_path = none  (default)
    flamenco_registration_secret_file = none  (default)
    flamenco_variables_file = none  (default)
    flamenco_active_worker_timeout = 60  (default)
    flamenco_active_task_timeout = 600  (default)
    flamenco_first_check = 300  (default)
    flamenco_task_cleanup_max_age = 1209600  (default)
    flamenco_worker_cleanup_max_age = 0  (default)
    flamenco_worker_cleanup_status = offline  (default)
    flamenco_blacklist_threshold = 3  (default)
    flamenco_task_fail_after_softfail_count = 3  (default)
    log_level = info  (default)
    pid_file = none  (default)
    ");
}

#[test]
fn what_is_not_set_is_what_the_server_has_anyway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job_runner.ini");
    std::fs::write(&path, "[job_runner]\n").unwrap();
    let loaded = load_server(&path, &surroundings(&[])).unwrap();
    let plain = crate::server::Settings::new(loaded.settings.server.data.clone());
    assert_eq!(format!("{:?}", loaded.settings.server), format!("{plain:?}"));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let content = "[job_runner]\n\
        listen = 0.0.0.0:8000\n\
        broadcaster_listen = localhost:5556\n\
        events_listen = 127.0.0.1\n\
        websocket_listen = [::]:5000\n\
        host_names = jobs.example.com, no host\n\
        time_zone = Europe/Amsterdm\n\
        page_limit = 0\n\
        max_body_bytes = 10\n\
        ping_interval = 0\n\
        silent_intervals = many\n\
        log_level = loud\n\
        log_levle = info\n";
    insta::assert_snapshot!(said(content, &[("JOB_RUNNER_MAX_LOSSES", "0"), ("JOB_RUNNER_PAGE_LIMT", "1")]), @r#"
    warning: /job_runner.ini:13: log_levle: is not known and does nothing; did you mean log_level?
    warning: environment JOB_RUNNER_PAGE_LIMT: sets nothing; did you mean JOB_RUNNER_PAGE_LIMIT?
    /job_runner.ini:2: listen: 0.0.0.0:8000 can be reached from other machines; set public = yes if that is meant, or use 127.0.0.1
    /job_runner.ini:3: broadcaster_listen: "localhost:5556" is no address with a port; allowed is an address with a port, such as 127.0.0.1:8000 or [::1]:8000
    /job_runner.ini:4: events_listen: "127.0.0.1" is no address with a port; allowed is an address with a port, such as 127.0.0.1:8000 or [::1]:8000
    /job_runner.ini:5: websocket_listen: [::]:5000 can be reached from other machines; set public = yes if that is meant, or use 127.0.0.1, or none
    /job_runner.ini:6: host_names: "no host" is no host; allowed is a host name or an address alone, without scheme, port and path; several separated by commas, or none
    /job_runner.ini:7: time_zone: "Europe/Amsterdm" is no time zone; allowed is a name of the time zone database, such as Europe/Amsterdam or UTC
    /job_runner.ini:8: page_limit: "0" will not do; allowed is a whole number from 1 to 1000
    /job_runner.ini:9: max_body_bytes: "10" will not do; allowed is a whole number from 1048576 to 1073741824
    /job_runner.ini:10: ping_interval: "0" will not do; allowed are seconds from 1 to 86400, such as 30 or 0.5
    /job_runner.ini:11: silent_intervals: "many" will not do; allowed is a whole number from 1 to 100
    environment JOB_RUNNER_MAX_LOSSES: max_losses: "0" will not do; allowed is a whole number from 1 to 1000
    /job_runner.ini:12: log_level: "loud" is not known; allowed are debug, info, warning, error, critical, warn, fatal, notset
    "#);
}

#[test]
fn who_means_it_may_be_public() {
    let text = said("[job_runner]\npublic = yes\nlisten = 0.0.0.0:80\nwebsocket_listen = [::]:5000\n", &[]);
    assert!(text.contains("listen = 0.0.0.0:80"), "{text}");
}

#[test]
fn the_environment_is_stronger_and_other_variables_are_none_of_ours() {
    let variables = [
        ("JOB_RUNNER_LISTEN", "127.0.0.1:9000"),
        ("JOB_RUNNER_WORKER_SECRET", "x"),
        ("JOB_RUNNER_SERVER", "http://x"),
        ("JOB_RUNNER_RUN_ID", "1"),
    ];
    let text = said("[job_runner]\nlisten = 127.0.0.1:1\n", &variables);
    assert!(text.contains("listen = 127.0.0.1:9000  (environment JOB_RUNNER_LISTEN)"), "{text}");
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let example = include_str!("../../../job_runner.ini.example");
    for key in KEYS {
        let Some(default) = key.preset.text() else { continue };
        let line = format!(";{} = {default}", key.name);
        assert!(example.lines().any(|found| found == line), "{line}");
    }
    let shown: String =
        example.lines().map(|line| line.strip_prefix(';').unwrap_or(line)).map(|l| format!("{l}\n")).collect();
    let text = said(&shown, &[]);
    assert!(text.contains("data_path = /var/lib/job-runner"), "{text}");
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn only_the_log_level_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let load = |content: &str| {
        let path = folder.path().join("job_runner.ini");
        std::fs::write(&path, content).unwrap();
        load_server(&path, &surroundings(&[])).unwrap()
    };
    let running = load("[job_runner]\n");
    let fresh = load("[job_runner]\nlisten = 127.0.0.1:1\nlog_level = debug\nmax_losses = 9\n");
    assert_eq!(running.on_restart(&fresh), ["listen", "max_losses"]);
    let before = load("[job_runner]\ndatabase = postgres://jobs:a@db/jobs\n");
    let after = load("[job_runner]\ndatabase = postgres://jobs:b@db/jobs\n");
    assert_eq!(before.on_restart(&after), ["database"]);
}

/// Writes a file beside the configuration and returns the line that names it.
fn password_file(folder: &tempfile::TempDir, content: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt;

    let path = folder.path().join("password");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    format!("database_password_file = {}\n", path.display())
}

/// Loads a file and returns the URL to connect with.
fn connects_with(content: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job_runner.ini");
    std::fs::write(&path, format!("[job_runner]\n{content}")).unwrap();
    let loaded = load_server(&path, &surroundings(variables)).unwrap();
    match loaded.settings.server.database {
        Database::Sqlite => "sqlite".to_owned(),
        Database::Postgres(url) => url.expose().to_string(),
    }
}

#[test]
fn a_database_is_sqlite_or_postgresql_with_its_password_from_one_of_three_places() {
    let folder = tempfile::tempdir().unwrap();
    let url = "database = postgres://jobs@db/jobs\n";
    assert_eq!(connects_with("", &[]), "sqlite");
    assert_eq!(connects_with("database = SQLite\n", &[("PGPASSWORD", "x")]), "sqlite");
    assert_eq!(connects_with(url, &[]), "postgres://jobs@db/jobs");
    assert_eq!(connects_with(url, &[("PGPASSWORD", "a%")]), "postgres://jobs@db/jobs?password=a%25");
    let with_password = "database = postgres://jobs:in%40it@db/jobs\n";
    assert_eq!(connects_with(with_password, &[("PGPASSWORD", "x")]), "postgres://jobs@db/jobs?password=in%40it");
    let from_file = format!("{url}{}", password_file(&folder, "of the file\r\n", 0o600));
    assert_eq!(connects_with(&from_file, &[("PGPASSWORD", "x")]), "postgres://jobs@db/jobs?password=of%20the%20file");
    let from_environment = [("JOB_RUNNER_DATABASE", "postgres://other@db/jobs")];
    assert_eq!(connects_with(url, &from_environment), "postgres://other@db/jobs");
}

#[test]
fn a_wrong_database_is_told_without_its_password() {
    for (value, mistake) in [
        ("jobs.sqlite", "does not begin with postgres://"),
        (
            "postgres://jobs:geheim/2@db/jobs",
            "is no URL; in a password, other characters than letters and digits are written as %XX",
        ),
        (
            "postgres://jobs:geheim#2@db/jobs",
            "is no URL; in a password, other characters than letters and digits are written as %XX",
        ),
        ("postgres://jobs@db/jobs?password=geheim", "has an option that is not allowed"),
        ("postgres://jobs:geheim@db/", "names no database"),
    ] {
        let text = said(&format!("[job_runner]\ndatabase = {value}\n"), &[]);
        assert!(!text.contains("geheim"), "{text}");
        assert_eq!(
            text.lines().last().unwrap(),
            format!(
                "/job_runner.ini:2: database: {mistake}; allowed is sqlite, or postgres://USER@HOST:PORT/NAME, with \
                 ?sslmode=disable or verify-full"
            )
        );
    }
    let unset = said("[job_runner]\ndatabase = postgres://jobs:%(geheim)s@db/jobs\n", &[]);
    assert!(!unset.contains("geheim") && unset.contains("refers to %(…)s"), "{unset}");
}

#[test]
fn the_password_of_a_database_is_masked_and_wants_a_private_file() {
    let text = said("[job_runner]\ndatabase = postgres://jobs:geheim@db/jobs\n", &[]);
    assert!(text.contains("database = postgres://jobs:****@db/jobs  (/job_runner.ini:2)"), "{text}");
    assert!(
        text.contains("warning: /job_runner.ini: holds a secret and can be read by others; chmod 600 it"),
        "{text}"
    );
    let text = said("[job_runner]\ndatabase = postgres://jobs@db/jobs\n", &[("PGPASSWORD", "geheim")]);
    assert!(text.contains("database = postgres://jobs@db/jobs  ("), "{text}");
    assert!(!text.contains("warning") && !text.contains("geheim"), "{text}");
}

#[test]
fn a_password_file_is_private_filled_and_the_only_place_of_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let beside = |database: &str, line: &str| {
        said(&format!("[job_runner]\ndatabase = {database}\n{line}"), &[]).replace(folder.path().to_str().unwrap(), "")
    };
    let open = password_file(&folder, "x\n", 0o644);
    let text = beside("postgres://jobs@db/jobs", &open);
    assert!(text.contains("database_password_file: /password can be read by others; chmod 600 it"), "{text}");
    let private = password_file(&folder, "x\n", 0o600);
    assert_eq!(
        beside("postgres://jobs:y@db/jobs", &private).lines().last(),
        Some("/job_runner.ini:3: database_password_file: is set, and so is a password in database; set one of them")
    );
    let text = beside("sqlite", &private);
    assert!(text.contains("database_password_file: does nothing: database is the SQLite file in data_path"), "{text}");
    let empty = password_file(&folder, "\n", 0o600);
    let text = beside("postgres://jobs@db/jobs", &empty);
    assert!(
        text.ends_with("database_password_file: /password is empty; allowed is a file with the password"),
        "{text}"
    );
    std::fs::remove_file(folder.path().join("password")).unwrap();
    let text = beside("postgres://jobs@db/jobs", &empty);
    assert!(text.contains("database_password_file: /password cannot be read: "), "{text}");
}

#[test]
fn a_flamenco_worker_is_removed_only_in_a_state_in_which_it_is_away() {
    let status = |text: &str| said(&format!("[job_runner]\nflamenco_worker_cleanup_status = {text}\n"), &[]);
    assert!(status("offline, timeout").contains("flamenco_worker_cleanup_status = offline, timeout"));
    for wrong in ["awake", "offline,", "gone"] {
        assert!(status(wrong).contains("allowed are offline, timeout, asleep and error"), "{wrong}");
    }
}

#[test]
fn the_files_of_the_flamenco_manager_are_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let said = |key: &str, content: &str| {
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        let line = format!("[job_runner]\n{key} = {}\n", path.display());
        said(&line, &[]).replace(folder.path().to_str().unwrap(), "")
    };
    let secret = "flamenco_registration_secret_file";
    assert!(said(secret, "short\n").contains("/file is too short; allowed is a secret of 16 characters or more"));
    let right = said(secret, "0123456789abcdef\n");
    assert!(right.contains(&format!("{secret} = /file")) && !right.contains("0123456789abcdef"), "{right}");
    let variables = "flamenco_variables_file";
    assert!(said(variables, "{\"a\": 1}").contains("allowed is JSON such as {\"blender\":"));
    assert!(said(variables, "{\"a\": {\"linux\": \"/a\"}}").contains(&format!("{variables} = /file")));
    assert!(said("flamenco_listen", "").contains("is no address with a port"));
}
