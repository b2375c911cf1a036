//! Command line of the worker: questions answered at once, and refusals with their exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What must be set, and where state may lie.
const INI: &str = "[job_runner_worker]\n\
    api_base_url = http://127.0.0.1:9/\n\
    api_key = testworker\n\
    secret = verysecret\n\
    ws_server_hostname = 127.0.0.1\n\
    broadcaster_server_hostname = 127.0.0.1\n";

struct Home(TempDir);

impl Home {
    /// With this ini file, and a state directory of its own behind it.
    fn new(ini: &str) -> Self {
        let home = Self(TempDir::with_prefix("command-line-").unwrap());
        fs::write(home.ini(), ini).unwrap();
        fs::set_permissions(home.ini(), fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ini(&self) -> PathBuf {
        self.path().join("worker.ini")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner_worker"));
        command.env_clear().env("HOME", self.path()).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::from(self.command().args(arguments).output().unwrap())
    }
}

/// Exit code, stdout, stderr.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn help_is_worded_as_the_original() {
    let home = Home::new("this is no configuration");
    let long = home.run(&["--help"]);
    assert_eq!((long.code, long.err.as_str()), (Some(0), ""), "{long:?}");
    for words in [
        "Job Runner worker (v3.0.0)",
        "-h, --help",
        "show this help message and exit",
        "--config-path <CONFIG_PATH>",
        "absolute path to config file (default: CONFIG_PATH env variable)",
        "--check-config",
        "--status",
        "--json",
        "--log-format",
        "--version",
        "drain",
        "69",
    ] {
        assert!(long.out.contains(words), "{words:?} is missing in\n{}", long.out);
    }
    let short = home.run(&["-h"]);
    assert!(short.out.contains("absolute path to config file (default: CONFIG_PATH env variable)\n"), "{}", short.out);
    for (words, expected) in [
        ("--config-path worker.ini --help", &long),
        ("--check-config --help", &long),
        ("--config-path worker.ini -h", &short),
    ] {
        let arguments: Vec<&str> = words.split(' ').collect();
        let said = home.run(&arguments);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), expected.out.as_str(), ""), "{words}");
    }
}

#[test]
fn the_version_is_printed_whatever_the_configuration() {
    let home = Home::new("this is no configuration");
    for arguments in [&["--version"][..], &["--config-path", "worker.ini", "--version"]] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "job_runner_worker 3.0.0\n", ""));
    }
}

#[test]
fn wrong_usage_exits_with_2_and_the_reason_on_stderr() {
    let home = Home::new(INI);
    for (words, reason) in [
        ("--no-such-flag", "--no-such-flag"),
        ("--config", "--config"),
        ("--config-path worker.ini extra", "extra"),
        ("--config-path", "--config-path"),
        ("--config-path worker.ini --config-path worker.ini", "--config-path"),
        ("--config-path worker.ini --log-format loud", "loud"),
        ("--config-path worker.ini --json", "--status"),
        ("--config-path worker.ini --check-config --status", "--status"),
    ] {
        let arguments: Vec<&str> = words.split(' ').collect();
        let said = home.run(&arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words}: {said:?}");
        assert!(said.err.contains(reason), "{words}: {}", said.err);
        assert!(said.err.contains("--help"), "{words}: {}", said.err);
    }
    assert!(home.run(&["--no-such-flag"]).err.contains("Usage: job_runner_worker"));
}

#[test]
fn a_missing_configuration_exits_with_2() {
    let home = Home::new(INI);
    for arguments in [&[][..], &["--config-path="], &["--check-config"], &["--status"]] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {said:?}");
        assert_eq!(said.err, "no configuration: give --config-path or set CONFIG_PATH\n");
    }
    let empty = Said::from(home.command().arg("--check-config").env("CONFIG_PATH", "").output().unwrap());
    assert_eq!(empty.code, Some(2), "{empty:?}");
}

#[test]
fn the_path_may_be_relative_and_may_come_from_the_environment() {
    let home = Home::new(INI);
    let absolute = home.ini().display().to_string();
    for path in ["worker.ini", "./worker.ini", &absolute] {
        let said = home.run(&["--check-config", "--config-path", path]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.out.contains(&format!("api_key = testworker  ({path}:3)\n")), "{}", said.out);
    }
    let said = Said::from(home.command().arg("--check-config").env("CONFIG_PATH", "worker.ini").output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    // The flag wins, as it always did.
    let mut command = home.command();
    command.args(["--check-config", "--config-path", "worker.ini"]).env("CONFIG_PATH", "/no/such/file");
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err, "warning: CONFIG_PATH (/no/such/file) is not read: --config-path says worker.ini\n");
}

#[test]
fn check_config_shows_every_setting_with_its_origin_and_no_secret() {
    let home = Home::new(&format!("{INI}concurrent_jobs = 7\nscript_temp_path = {{}}\n").replace("{}", "/tmp"));
    let mut command = home.command();
    command.args(["--check-config", "--config-path", "worker.ini"]).env("JOB_RUNNER_WORKER_LOG_LEVEL", "debug");
    let said = Said::from(command.output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    for line in [
        "api_base_url = http://127.0.0.1:9/  (worker.ini:2)",
        "secret = ****  (worker.ini:4)",
        "concurrent_jobs = 7  (worker.ini:7)",
        "log_level = debug  (environment JOB_RUNNER_WORKER_LOG_LEVEL)",
        "max_log_bytes = 819200  (default)",
        "kill_grace = 0  (default)",
    ] {
        assert!(said.out.lines().any(|shown| shown == line), "{line:?} is missing in\n{}", said.out);
    }
    let example = include_str!("../../job_runner_worker.ini.example");
    let keys = example.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    for (key, _) in keys {
        let key = key.trim_start_matches(';');
        let shown = said.out.lines().filter(|line| line.starts_with(&format!("{key} = "))).count();
        assert_eq!(shown, 1, "{key} in\n{}", said.out);
    }
    assert!(!said.out.contains("verysecret"));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let ini = "[job_runner_worker]\napi_base_url = ftp://x/\nsecret = verysecret\nconcurrent_jobs = 0\n\
               ws_server_port = http\nlog_level = loud\nconcurent_jobs = 3\n";
    let home = Home::new(ini);
    for arguments in [&["--config-path", "worker.ini"][..], &["--config-path", "worker.ini", "--check-config"]] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(78), ""), "{said:?}");
        for words in [
            "worker.ini:2: api_base_url: ",
            "worker.ini:4: concurrent_jobs: ",
            "worker.ini:5: ws_server_port: ",
            "worker.ini:6: log_level: ",
            "api_key, ws_server_hostname, broadcaster_server_hostname: missing",
        ] {
            assert!(said.err.lines().any(|line| line.contains(words)), "{words:?} is missing in\n{}", said.err);
        }
        let warning = said.err.lines().find(|line| line.starts_with("warning: ")).unwrap_or_default();
        assert!(warning.contains("worker.ini:7: concurent_jobs: ") && warning.contains("concurrent_jobs?"), "{said:?}");
        assert!(!said.err.contains("verysecret"));
    }
}

#[test]
fn an_unreadable_configuration_exits_with_66() {
    let home = Home::new(INI);
    for path in ["no-such.ini", ".", "/dev/zero"] {
        for more in [&[][..], &["--check-config"], &["--status"]] {
            let said = Said::from(home.command().args(["--config-path", path]).args(more).output().unwrap());
            assert_eq!((said.code, said.out.as_str()), (Some(66), ""), "{path}: {said:?}");
            assert!(said.err.starts_with(&format!("{path}: ")) && said.err.lines().count() == 1, "{}", said.err);
        }
    }
}

#[test]
fn an_unusable_path_exits_with_73() {
    for (key, value) in [
        ("script_temp_path", "/no/such/directory"),
        ("script_temp_path", "/dev/null"),
        ("state_path", "/dev/null/state"),
        ("pid_file", "/no/such/directory/worker.pid"),
    ] {
        let home = Home::new(&format!("{INI}{key} = {value}\n"));
        let said = home.run(&["--config-path", "worker.ini"]);
        assert_eq!((said.code, said.out.as_str()), (Some(73), ""), "{key} = {value}: {said:?}");
        assert!(said.err.starts_with(&format!("{key}: {value}")) && said.err.lines().count() == 1, "{}", said.err);
    }
    let home = Home::new(&format!("{INI}script_temp_path = /no/such/directory\n"));
    let said = home.run(&["--config-path", "worker.ini", "--check-config"]);
    assert_eq!(said.code, Some(73), "{said:?}");
    assert!(said.err.starts_with("script_temp_path: /no/such/directory"), "{}", said.err);
}

#[test]
fn status_without_a_running_worker_exits_with_69() {
    let home = Home::new(INI);
    for arguments in [&["--status"][..], &["--status", "--json"]] {
        let said = Said::from(home.command().args(["--config-path", "worker.ini"]).args(arguments).output().unwrap());
        assert_eq!((said.code, said.out.as_str()), (Some(69), ""), "{said:?}");
        assert!(said.err.starts_with("no worker answers at ") && said.err.lines().count() == 1, "{}", said.err);
    }
}

#[test]
fn a_closed_stdout_is_no_reason_to_panic() {
    let home = Home::new(INI);
    let asked = ["--help", "--version", "--check-config", "--status", "--no-such-flag"];
    for (to, redirected) in [("closed", ">&- 2>&-"), ("full", "> /dev/full 2> /dev/full"), ("half", "> /dev/full")] {
        for argument in asked {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirected}")]);
            shell.args([env!("CARGO_BIN_EXE_job_runner_worker"), "--config-path", "worker.ini", argument]);
            let output = shell.env_clear().env("HOME", home.path()).current_dir(home.path()).output().unwrap();
            let said = Said::from(output);
            assert!(said.code.is_some_and(|code| code != 101), "{to}, {argument}: {said:?}");
            assert!(!said.err.contains("panicked"), "{to}, {argument}: {said:?}");
        }
    }
    // The reader of a pipe that left.
    for argument in asked {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = home.command();
        command.args(["--config-path", "worker.ini", argument]).stdout(writer.try_clone().unwrap()).stderr(writer);
        let code = command.status().unwrap().code();
        assert!(code.is_some_and(|code| code != 101), "{argument}: {code:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let home = Home::new(INI);
    for words in [&["--help"][..], &["--version"], &["--config-path", "worker.ini", "--check-config"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = home.command().args(words).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(74), "{words:?}: {}", said.err);
        assert!(said.err.contains("output cannot be written: No space left"), "{words:?}: {}", said.err);
    }
}
