use clap::CommandFactory;

use super::FlamencoCommandLine;

fn parsed(words: &[&str]) -> FlamencoCommandLine {
    let words = std::iter::once("flamenco-worker").chain(words.iter().copied()).map(Into::into);
    FlamencoCommandLine::parse_words(words).expect("a command line")
}

#[test]
fn the_command_line_is_consistent() {
    FlamencoCommandLine::command().debug_assert();
}

#[test]
fn options_are_spelled_with_one_dash_or_two() {
    for dashes in ["-", "--"] {
        let url = format!("{dashes}manager");
        let code = format!("{dashes}restart-exit-code=47");
        let line = parsed(&[&url, "http://farm:8080/", &code]);
        assert_eq!(line.manager.as_deref(), Some("http://farm:8080/"));
        assert_eq!(line.restart_exit_code, Some(47));
    }
}

#[test]
fn flags_of_the_original_become_keys() {
    let line = parsed(&["-1", "-t", "-r", "-d"]).options();
    let keys: Vec<_> = line.surroundings.options.iter().map(|(key, (option, text))| (*key, *option, &**text)).collect();
    let wanted = [
        ("log_level", "--debug", "debug"),
        ("reregister", "--reregister", "true"),
        ("single", "--single", "true"),
        ("testing", "--test", "true"),
    ];
    assert_eq!(keys, wanted);
}
