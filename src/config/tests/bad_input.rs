//! Tests of faulty files: every possible mistake and the message for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use super::super::{ConfigFailure, load};
use super::{Case, REQUIRED, assert_mentions, mistakes, warnings, with};

fn unreadable(path: &Path) -> ConfigFailure {
    let failure = load(Some(path), &Case::new().surroundings).expect_err("nothing to read");
    assert_eq!(failure.exit.code(), 66);
    assert_mentions(&failure.mistakes, &[&path.display().to_string()]);
    failure
}

#[test]
fn a_missing_file_is_named() {
    assert_mentions(&unreadable(Path::new("/nowhere.ini")).mistakes, &["No such file"]);
}

#[test]
fn only_regular_files_are_read_and_none_is_waited_for() {
    let case = Case::new();
    let pipe = case.folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    let start = Instant::now();
    for path in [case.folder.path(), &pipe, Path::new("/dev/zero")] {
        assert_mentions(&unreadable(path).mistakes, &["is no regular file"]);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_file_of_more_than_a_megabyte_is_no_configuration() {
    let case = Case::new();
    fs::write(case.path(), vec![b'#'; 1024 * 1024 + 1]).expect("a file");
    assert_mentions(&unreadable(&case.path()).mistakes, &["is longer than 1 MB"]);
}

#[test]
fn an_empty_file_lacks_the_section() {
    let mistakes = mistakes("");
    assert_eq!(mistakes, ["worker.ini: section [job_runner_worker] is missing; all keys stand in it"]);
}

#[test]
fn a_section_of_another_spelling_is_pointed_at() {
    for name in ["Job_Runner_Worker", " job_runner_worker ", "job-runner-worker", "job_runer_worker"] {
        let mistakes = mistakes(format!("# first\n[{name}]\nsecret = x\n"));
        assert_eq!(mistakes.len(), 1);
        assert_mentions(&mistakes, &[&format!("worker.ini:2: [{name}]: "), "did you mean this one?"]);
    }
}

#[test]
fn a_key_before_any_section_is_told_with_its_line() {
    let mistakes = mistakes(format!("\nsecret = x\n{REQUIRED}"));
    assert_eq!(mistakes.len(), 1);
    assert_mentions(&mistakes, &["worker.ini:2: ", "before the first section"]);
}

#[test]
fn every_line_that_makes_no_sense_is_told() {
    let mistakes = mistakes("[job_runner_worker]\n  indented = 1\nno delimiter\n= no key\n");
    assert_mentions(&mistakes, &["worker.ini:2: ", "is indented"]);
    assert_mentions(&mistakes, &["worker.ini:3: ", "has no `=` or `:`"]);
    assert_mentions(&mistakes, &["worker.ini:4: ", "starts with"]);
}

#[test]
fn a_byte_order_mark_is_skipped_with_a_warning() {
    let case = Case::new();
    let loaded = case.load(format!("\u{feff}{REQUIRED}")).expect("loaded");
    assert_mentions(&loaded.warnings, &["worker.ini:1: ", "byte order mark"]);
}

#[test]
fn lines_may_end_as_on_windows() {
    assert_eq!(warnings(REQUIRED.replace('\n', "\r\n")), Vec::<String>::new());
}

#[test]
fn what_is_no_text_is_told_with_its_offset() {
    assert_mentions(&mistakes(b"[a]\nb = \xe9\n"), &["worker.ini:2: ", "offset 8", "UTF-8"]);
    assert_mentions(&mistakes(b"[a]\nb = \0\n"), &["worker.ini:2: ", "NUL byte at offset 8"]);
}

#[test]
fn the_last_of_two_equal_keys_counts_with_a_warning() {
    let case = Case::new();
    let loaded = case.load(format!("{REQUIRED}api_key = later\n")).expect("loaded");
    assert_eq!(loaded.settings.rest().api_key.as_str(), "later");
    assert_mentions(&loaded.warnings, &["worker.ini:7: api_key: is set in line 3 too"]);
    let twice = format!("{REQUIRED}[job_runner_worker]\nlinger = 1\n");
    assert_mentions(&warnings(twice), &["worker.ini:7: [job_runner_worker]: appears twice"]);
}

#[test]
fn an_unknown_key_is_told_with_what_may_be_meant() {
    let warned = warnings(format!("{REQUIRED}concurent_jobs = 9\nentirely_else = 1\n"));
    assert_mentions(&warned, &["worker.ini:7: concurent_jobs: ", "did you mean concurrent_jobs?"]);
    assert!(warned.iter().any(|line| line.ends_with("entirely_else: is not known and does nothing")));
}

#[test]
fn a_key_that_others_refer_to_is_of_use() {
    let text = with("api_base_url", "https://%(Base)s/") + "base = server\n";
    assert_eq!(warnings(text), Vec::<String>::new());
}

#[test]
fn what_looks_like_a_comment_and_is_none_is_worth_a_warning() {
    assert_mentions(&warnings(with("secret", "b # x")), &["worker.ini:6: secret: ", "` #`"]);
    assert_mentions(&warnings(with("secret", "a;b ; c")), &["secret: ", "starts no comment"]);
    assert_mentions(&warnings(with("secret", "b ; x")), &["secret: ", "is a comment"]);
    assert_mentions(&warnings(with("secret", "\"b\"")), &["secret: ", "in quotes"]);
    assert_mentions(&warnings(with("secret", "b%%d")), &["secret: ", "stays two signs"]);
    assert_mentions(&warnings(with("secret", "b\n  linger = 1")), &["secret: goes on"]);
    assert_eq!(warnings(with("linger", "1 ; seconds")), Vec::<String>::new());
}

#[test]
fn a_reference_to_nothing_is_a_mistake() {
    let mistakes_of_path = mistakes(with("script_temp_path", "/tmp/%(nope)s"));
    assert_mentions(&mistakes_of_path, &["worker.ini:7: script_temp_path: refers to %(nope)s"]);
    let mistakes_of_secret = mistakes(with("secret", "abc%(def)s"));
    assert!(!mistakes_of_secret.concat().contains("def"), "{mistakes_of_secret:?}");
}

#[test]
fn a_value_that_doubles_itself_does_not_fill_the_memory() {
    let doubling = "%(a)s".repeat(200);
    let text = format!("{REQUIRED}linger = %(a)s\na = {doubling}\n");
    assert_mentions(&mistakes(text), &["linger: grows longer than 1 MB"]);
}

#[test]
fn a_value_of_openings_alone_is_refused_soon() {
    let start = Instant::now();
    let openings = "%(".repeat(200_000);
    assert_mentions(&mistakes(with("linger", &openings)), &["linger: has a broken `%(`"]);
    assert_mentions(&mistakes(with("linger", &(openings + ")s"))), &["linger: "]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn all_missing_keys_are_told_in_one_line() {
    assert_eq!(
        mistakes("[job_runner_worker]\napi_key = key\n"),
        ["worker.ini: api_base_url, secret, ws_server_hostname, broadcaster_server_hostname: \
          missing; set in [job_runner_worker] or as JOB_RUNNER_WORKER_<KEY>"]
    );
}

#[test]
fn required_keys_may_not_be_empty() {
    for key in ["api_base_url", "api_key", "secret", "ws_server_hostname", "broadcaster_server_hostname"] {
        assert_mentions(&mistakes(with(key, "")), &[&format!("worker.ini:6: {key}: is empty; allowed")]);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = with("api_base_url", "ftp://server") + "linger = x\nws_server_port = 0\nbad\n";
    let mistakes = mistakes(text);
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
}

#[test]
fn numbers_out_of_bounds_are_mistakes() {
    for (key, texts) in [
        ("concurrent_jobs", &["0", "-1", "four", "1e3", "99999999999", "1025", ""][..]),
        ("min_free_bytes", &["-1", "64 MB", "1e6", "18446744073709551616", ""]),
        ("max_log_bytes", &["-5", "800k", ""]),
        ("reconnect_after_inactivity", &["0", "-1", "soon"]),
        ("ws_server_port", &["0", "70000", "http"]),
        ("broadcaster_server_port", &["0", "70000", "http"]),
        ("max_attempts", &["0", "-1"]),
        ("api_timeout", &["0", "3601"]),
        ("tls_verify", &["maybe", ""]),
    ] {
        for text in texts {
            assert_mentions(&mistakes(with(key, text)), &[&format!("worker.ini:7: {key}: "), "allowed"]);
        }
    }
}

#[test]
fn a_hasty_reconnect_is_worth_a_warning() {
    let warned = warnings(with("reconnect_after_inactivity", "1"));
    assert_mentions(&warned, &["reconnect_after_inactivity: less than 30 seconds"]);
}

#[test]
fn a_base_url_is_http_with_a_host_and_no_password() {
    for text in ["server.example.com", "localhost:8000", "ftp://server/", "http:server", "https://", "https://a b/"] {
        assert_mentions(&mistakes(with("api_base_url", text)), &["api_base_url: ", "allowed is http://"]);
    }
    let mistakes = mistakes(with("api_base_url", "https://user:pass@server/"));
    assert_mentions(&mistakes, &["has a user or a password in it"]);
    assert!(!mistakes.concat().contains("pass@"), "{mistakes:?}");
}

#[test]
fn a_websocket_url_is_one() {
    for text in ["http://server/", "server", "ws://u:p@server/", "wss://server/#x"] {
        assert_mentions(&mistakes(with("ws_url", text)), &["ws_url: ", "allowed is a ws://"]);
    }
}

#[test]
fn a_resource_lies_on_the_same_server() {
    for text in ["https://other/api/", "http://server.example.com/", "//other/api/", "/api/?x=1", ""] {
        let mistakes = mistakes(with("run_resource_uri", text));
        assert_mentions(&mistakes, &["run_resource_uri: ", "allowed is a path"]);
    }
    for text in ["/api/run", "api/run/", "https://server.example.com/api/run/"] {
        assert_mentions(&warnings(with("run_resource_uri", text)), &["is read as /api/run/"]);
    }
}

#[test]
fn a_host_stands_alone() {
    for text in ["tcp://server", "server:5555", "a b", "*", "server/path"] {
        assert_mentions(&mistakes(with("ws_server_hostname", text)), &["allowed is a host name"]);
    }
}

#[test]
fn a_key_that_would_break_a_header_is_a_mistake() {
    for text in ["a:b", "a b", "a\n  b", "a\u{1}b", &"k".repeat(256)] {
        assert_mentions(&mistakes(with("api_key", text)), &["worker.ini:6: api_key: ", "allowed are"]);
    }
    let long = "/".repeat(100);
    assert_mentions(&mistakes(with("api_key", &long)), &["api_key: is too long for the name"]);
}

#[test]
fn a_secret_beyond_ascii_is_signed_with_as_utf_8() {
    let case = Case::new();
    let loaded = case.load(with("secret", "p\u{e4}ss")).expect("loaded");
    assert_eq!(loaded.settings.rest().secret.expose(), "p\u{e4}ss".as_bytes());
    assert_mentions(&loaded.warnings, &["secret: is not ASCII"]);
}

#[test]
fn a_secret_that_others_can_read_is_worth_a_warning() {
    let case = Case::new();
    case.load(REQUIRED).expect("loaded");
    for mode in [0o640, 0o604] {
        fs::set_permissions(case.path(), fs::Permissions::from_mode(mode)).expect("its mode");
        let loaded = load(Some(&case.path()), &case.surroundings).expect("loaded");
        assert_mentions(&loaded.warnings, &["worker.ini: ", "can be read by others"]);
    }
}

#[test]
fn unverified_certificates_are_worth_a_warning() {
    assert_mentions(&warnings(with("tls_verify", "off")), &["tls_verify: certificates"]);
}

#[test]
fn a_tilde_is_no_home_directory() {
    assert_mentions(&warnings(with("pid_file", "~/pid")), &["pid_file: `~`"]);
}
