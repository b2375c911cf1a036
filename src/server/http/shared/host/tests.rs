use super::is_ours;

#[test]
fn this_machine_is_known_by_its_own_names_alone() {
    let names = ["jobs.example.com".to_owned(), "[2001:db8::1]".to_owned()];
    for host in [
        "localhost",
        "localhost:8000",
        "LOCALHOST:8000",
        "jr.localhost",
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.1.2.3:1",
        "[::1]",
        "[::1]:8000",
        "jobs.example.com",
        "Jobs.Example.com:443",
        "[2001:db8::1]:8000",
    ] {
        assert!(is_ours(host, &names), "{host}");
    }
    for host in [
        "",
        ":8000",
        "evil.example.com",
        "evil.example.com:8000",
        "127.0.0.1.evil.example.com",
        "localhost.evil.example.com",
        "notlocalhost",
        "192.168.0.1:8000",
        "0.0.0.0",
        "[2001:db8::2]",
        "127.0.0.1@evil.example.com",
    ] {
        assert!(!is_ours(host, &names), "{host}");
    }
}
