use url::Url;

use super::ini;
use crate::wire::operator::MadeWorker;

#[test]
fn the_file_has_all_that_a_worker_needs() {
    let made = MadeWorker {
        id: 1,
        api_key: "web1".to_owned(),
        secret: "0123".to_owned(),
        broadcaster_port: 5556,
        events_port: 5555,
    };
    insta::assert_snapshot!(ini(&made, &Url::parse("https://jobs.example.com:8443/x/").unwrap()), @r"
    # The worker web1 of https://jobs.example.com:8443/: job_runner_worker --config-path THIS_FILE
    [job_runner_worker]
    api_base_url = https://jobs.example.com:8443/
    api_key = web1
    secret = 0123
    ws_server_hostname = jobs.example.com
    ws_server_port = 5555
    broadcaster_server_hostname = jobs.example.com
    broadcaster_server_port = 5556
    ");
}
