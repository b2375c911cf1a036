//! Paths and the targets that they name.

use super::*;

#[test]
fn every_path_names_one_thing() {
    let detail = |id: &str| ResourcePath::Detail(Resource::Run, id.to_owned());
    let rows = [
        ("/api/v1/", ResourcePath::Top),
        ("/api/v1/run/", ResourcePath::List(Resource::Run)),
        ("/api/v1/worker_pool/schema/", ResourcePath::Schema(Resource::WorkerPool)),
        ("/api/v1/run/set/1;2/", ResourcePath::Set(Resource::Run, vec!["1".to_owned(), "2".to_owned()])),
        ("/api/v1/run/12/", detail("12")),
        ("/api/v1/run/abc/", detail("abc")),
        ("/api/v1/run/1/2/", detail("1/2")),
        ("/api/v1/run/set/", detail("set")),
    ];
    for (path, target) in rows {
        assert_eq!(ResourcePath::of(path, ""), Ok(target), "{path}");
    }
}

#[test]
fn what_names_nothing_is_not_found_and_what_lacks_a_slash_is_elsewhere() {
    for path in ["/api/v1/runs/", "/api/v1/runs", "/api/v1/run/%20/", "/api/v1/run/-1/", "/api/v1//", "/api/"] {
        assert_eq!(ResourcePath::of(path, ""), Err(ApiAnswer::no_path()), "{path}");
    }
    let elsewhere = ResourcePath::of("/api/v1/run", "state=started");
    assert_eq!(elsewhere, Err(ApiAnswer::elsewhere("/api/v1/run/?state=started".to_owned())));
    assert_eq!(ResourcePath::of("/api/v1", ""), Err(ApiAnswer::elsewhere("/api/v1/".to_owned())));
}

#[test]
fn a_method_is_allowed_refused_or_asked_for() {
    let job = ResourcePath::Detail(Resource::Job, "1".to_owned());
    assert_eq!(job.refuses("PUT"), None);
    assert_eq!(job.refuses("DELETE"), Some(ApiAnswer::not_allowed(&["GET", "PUT", "PATCH"])));
    assert_eq!(job.refuses("OPTIONS").map(|answer| answer.status), Some(200));
    assert_eq!(ResourcePath::Schema(Resource::Job).refuses("POST").map(|answer| answer.status), Some(405));
    assert_eq!(ResourcePath::List(Resource::Run).refuses("HEAD").map(|answer| answer.status), Some(405));
}
