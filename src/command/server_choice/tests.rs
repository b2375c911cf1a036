use super::*;

fn at(server: Option<&str>, data: Option<&str>) -> ServerArgs {
    ServerArgs { server: server.map(str::to_owned), data: data.map(PathBuf::from), ..ServerArgs::default() }
}

#[test]
fn the_command_line_is_stronger_than_the_environment_and_a_name_than_a_directory() {
    let with = Environment { server: Some("http://env/".to_owned()), ..Environment::default() };
    let without = Environment::default();
    let named = |address: &str, by| Target::Named { address: address.to_owned(), by };
    let directory = |path: &str| Target::InDirectory(PathBuf::from(path));
    for (server, data, environment, expected) in [
        (Some("http://a/"), None, &with, named("http://a/", "--server")),
        (Some("http://a/"), Some("d"), &with, named("http://a/", "--server")),
        (None, Some("d"), &with, directory("d")),
        (None, None, &with, named("http://env/", "JOB_RUNNER_SERVER")),
        (Some(""), None, &with, named("http://env/", "JOB_RUNNER_SERVER")),
        (None, None, &without, directory(DATA)),
    ] {
        assert_eq!(target(&at(server, data), environment), expected, "{server:?} {data:?}");
    }
}

#[test]
fn an_address_belongs_to_the_server_of_this_machine_under_any_of_its_names() {
    let url = |text: &str| Url::parse(text).expect("a URL");
    let own = url("http://127.0.0.1:8000/");
    for (text, expected) in [
        ("http://127.0.0.1:8000/", true),
        ("http://localhost:8000/", true),
        ("http://[::1]:8000/", true),
        ("http://127.0.0.1:8001/", false),
        ("https://127.0.0.1:8000/", false),
        ("http://localhost.example.org:8000/", false),
        ("http://192.0.2.1:8000/", false),
    ] {
        assert_eq!(is_same_server(&own, &url(text)), expected, "{text}");
    }
    assert!(is_same_server(&url("http://192.0.2.1/"), &url("http://192.0.2.1:80/")));
}

#[test]
fn what_is_wrong_with_an_address_is_said_without_it() {
    for text in ["http://me:hunter2@a/", "ftp://me:hunter2@a/", "me:hunter2@a", "http://me:hunter2@:99999/", "", "//"] {
        let said = parse(text).expect_err("no such address");
        assert!(!said.contains("hunter2"), "{text}: {said}");
    }
    for text in ["http://a", "https://a:8443/jobs/", "http://[::1]:8000/"] {
        assert!(parse(text).is_ok(), "{text}");
    }
}
