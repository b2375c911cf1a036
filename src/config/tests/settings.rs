//! Tests of the settings that each module is given.

use std::path::Path;
use std::time::Duration;

use super::{REQUIRED, assert_mentions, loaded, mistakes, warnings, with};
use crate::config::LogLevel;
use crate::execution::Environment;
use crate::report::Durability;
use crate::run::{IncompleteRuns, LeftoverPolicy};

#[test]
fn the_required_keys_alone_give_the_documented_defaults() {
    let settings = loaded(REQUIRED).settings;
    assert_eq!(settings.rest().api_base_url.as_str(), "https://server.example.com/");
    assert_eq!(settings.rest().api_key.as_str(), "key");
    assert_eq!(settings.rest().secret.expose(), b"verysecret");
    assert_eq!(settings.rest().run_resource, "/api/v1/run/");
    assert_eq!(settings.rest().worker_resource, "/api/v1/worker/");
    assert_eq!(settings.rest().run_log_resource, "/api/v1/run_log/");
    assert_eq!(settings.rest().kill_request_resource, "/api/v1/kill_request/");
    assert!(settings.rest().tls_verify);
    assert_eq!(settings.rest().ca_file, None);
    assert_eq!(settings.rest().api_timeout, Duration::from_secs(30));
    assert_eq!(settings.source().broadcaster_server_hostname, "broadcaster.example.com");
    assert_eq!(settings.source().broadcaster_server_port, 5556);
    assert_eq!(settings.source().reconnect_after_inactivity, Duration::from_secs(300));
    assert_eq!(settings.source().ws_url, None);
    assert_eq!(settings.intake.concurrent_jobs, 4);
    assert_eq!(settings.intake.incomplete_runs, IncompleteRuns::Reset);
    assert_eq!(settings.intake.max_attempts, 3);
    assert_eq!(settings.intake.min_free_bytes, 64 * 1024 * 1024);
    assert_eq!(settings.execution.script_temp_path, Path::new("/tmp"));
    assert_eq!(settings.execution.kill_grace, Duration::ZERO);
    assert_eq!(settings.execution.linger, Duration::from_secs(10));
    assert_eq!(settings.execution.leftovers, LeftoverPolicy::Keep);
    assert_eq!(settings.execution.run_timeout, None);
    assert_eq!(settings.execution.environment, Environment::Inherit);
    assert_eq!(settings.execution.redact.len(), 1);
    assert_eq!(settings.report.max_log_bytes, 819_200);
    assert_eq!(settings.report.log_update_interval, Duration::from_secs(5));
    assert_eq!(settings.report.ws_server_hostname, "ws.example.com");
    assert_eq!(settings.report.ws_server_port, 5555);
    assert_eq!(settings.report.durability, Durability::Process);
    assert_eq!(settings.daemon.drain_timeout, None);
    assert_eq!(settings.daemon.pid_file, None);
    assert_eq!(settings.daemon.log_level, LogLevel::Info);
}

#[test]
fn an_ordinary_file_gives_no_warning() {
    assert_eq!(warnings(REQUIRED), Vec::<String>::new());
}

#[test]
fn seconds_may_have_a_fraction() {
    let settings = loaded(with("kill_grace", "0.5")).settings;
    assert_eq!(settings.execution.kill_grace, Duration::from_millis(500));
}

#[test]
fn seconds_have_no_units_exponents_or_signs() {
    for text in ["10s", "1e3", "-1", "inf", "nan", ".5", "5.", "none", "", "0,5", "86401"] {
        assert_mentions(&mistakes(with("linger", text)), &["worker.ini:7: linger: ", "allowed are seconds"]);
    }
}

#[test]
fn none_and_nothing_leave_an_optional_value_out() {
    for text in ["none", "None", "", "\"\""] {
        let settings = loaded(with("run_timeout", text)).settings;
        assert_eq!(settings.execution.run_timeout, None, "{text}");
        assert_eq!(loaded(with("pid_file", text)).settings.daemon.pid_file, None, "{text}");
        assert_eq!(loaded(with("ws_url", text)).settings.source().ws_url, None, "{text}");
    }
    assert_mentions(&mistakes(with("drain_timeout", "0")), &["drain_timeout: ", "or none"]);
}

#[test]
fn words_are_read_in_any_case() {
    let settings = loaded(with("leftovers", "STOP")).settings;
    assert_eq!(settings.execution.leftovers, LeftoverPolicy::Stop);
    let settings = loaded(with("environment", "Clean")).settings;
    assert_eq!(settings.execution.environment, Environment::Clean);
    let settings = loaded(with("incomplete_runs", " fail ")).settings;
    assert_eq!(settings.intake.incomplete_runs, IncompleteRuns::Fail);
    let settings = loaded(with("durability", "Power")).settings;
    assert_eq!(settings.report.durability, Durability::Power);
    assert_eq!(settings.execution.durability, Durability::Power);
    assert_eq!(loaded(with("log_level", "  INFO ")).settings.daemon.log_level, LogLevel::Info);
    assert_eq!(loaded(with("log_level", "warn")).settings.daemon.log_level, LogLevel::Warning);
}

#[test]
fn an_unknown_word_is_answered_with_the_known_ones() {
    let mistakes = mistakes(with("log_level", "loud"));
    assert_mentions(&mistakes, &["log_level: \"loud\"", "debug, info, warning, error, critical"]);
    let mistakes = super::mistakes(with("durability", "fsync"));
    assert_mentions(&mistakes, &["durability: \"fsync\"", "allowed are process, power"]);
}

#[test]
fn the_path_of_the_base_url_is_replaced_as_urljoin_does() {
    let text = with("api_base_url", "https://server:8443/below/?x=1");
    assert_eq!(loaded(&text).settings.rest().api_base_url.as_str(), "https://server:8443/");
    assert_mentions(&warnings(&text), &["api_base_url: only https://server:8443/ of it is used"]);
}

#[test]
fn a_relative_resource_is_joined_below_the_base_url() {
    let text = with("api_base_url", "https://server/below/") + "run_resource_uri = api/run\n";
    assert_eq!(loaded(&text).settings.rest().run_resource, "/below/api/run/");
    assert_mentions(&warnings(&text), &["run_resource_uri: is read as /below/api/run/"]);
}

#[test]
fn a_base_url_needs_no_slash_and_takes_addresses_and_foreign_names() {
    for (text, read) in [
        ("https://server", "https://server/"),
        ("HTTPS://Server", "https://server/"),
        ("https://[2001:db8::1]:8000", "https://[2001:db8::1]:8000/"),
        ("https://b\u{fc}cher.example/", "https://xn--bcher-kva.example/"),
    ] {
        let settings = loaded(with("api_base_url", text)).settings;
        assert_eq!(settings.rest().api_base_url.as_str(), read);
    }
}

#[test]
fn plain_http_to_another_machine_is_worth_a_warning() {
    let warned = warnings(with("api_base_url", "http://server/"));
    assert_mentions(&warned, &["worker.ini:6: api_base_url: ", "can be read on the way"]);
    for local in ["http://localhost:8000/", "http://127.0.0.1/", "http://[::1]/"] {
        assert_eq!(warnings(with("api_base_url", local)), Vec::<String>::new());
    }
    assert_mentions(&warnings(with("ws_url", "ws://server/")), &["ws_url: "]);
}

#[test]
fn a_host_can_stand_before_a_port() {
    for (text, read) in [("::1", "[::1]"), ("[::1]", "[::1]"), ("10.0.0.1", "10.0.0.1")] {
        let settings = loaded(with("ws_server_hostname", text)).settings;
        assert_eq!(settings.report.ws_server_hostname, read);
    }
}

#[test]
fn relative_paths_start_at_the_working_directory_and_may_hold_spaces() {
    let settings = loaded(with("script_temp_path", "some where")).settings;
    assert_eq!(settings.execution.script_temp_path, Path::new("/work/some where"));
}

#[test]
fn the_state_of_a_worker_is_below_the_base_under_a_safe_name() {
    let text = with("state_path", "/state");
    assert_eq!(loaded(&text).settings.daemon.state_path, Path::new("/state/key"));
    let text = text.replace("api_key = key", "api_key = ../a/b%");
    let state = loaded(&text).settings.daemon.state_path;
    assert_eq!(state, Path::new("/state/%2E.%2Fa%2Fb%25"));
}

#[test]
fn logs_are_bounded_whatever_the_file_says() {
    for (text, bytes) in [("0", 0), ("1", 1), ("10995116277760", 128 * 1024 * 1024)] {
        assert_eq!(loaded(with("max_log_bytes", text)).settings.report.max_log_bytes, bytes);
    }
    assert_mentions(&warnings(with("max_log_bytes", "134217729")), &["134217728 is used"]);
}

#[test]
fn a_code_to_be_started_again_with_is_one_of_255_or_none() {
    let code = |text| loaded(with("restart_exit_code", text)).settings.daemon.restart_exit_code;
    assert_eq!((code("none"), code("1"), code("47"), code("255")), (None, Some(1), Some(47), Some(255)));
    for text in ["0", "256", "-1", "yes"] {
        let mistakes = super::mistakes(with("restart_exit_code", text));
        assert_mentions(&mistakes, &["restart_exit_code: ", "allowed is a whole number from 1 to 255"]);
    }
}
