//! Paths, and what they name.

use super::*;

#[test]
fn every_path_names_one_thing() {
    let detail = |id: &str| Target::Detail(Resource::Run, id.to_owned());
    let rows = [
        ("/api/v1/", Target::Top),
        ("/api/v1/run/", Target::List(Resource::Run)),
        ("/api/v1/worker_pool/schema/", Target::Schema(Resource::WorkerPool)),
        ("/api/v1/run/set/1;2/", Target::Set(Resource::Run, vec!["1".to_owned(), "2".to_owned()])),
        ("/api/v1/run/12/", detail("12")),
        ("/api/v1/run/abc/", detail("abc")),
        ("/api/v1/run/1/2/", detail("1/2")),
        ("/api/v1/run/set/", detail("set")),
    ];
    for (path, target) in rows {
        assert_eq!(Target::of(path, ""), Ok(target), "{path}");
    }
}

#[test]
fn what_names_nothing_is_not_found_and_what_lacks_a_slash_is_elsewhere() {
    for path in ["/api/v1/runs/", "/api/v1/runs", "/api/v1/run/%20/", "/api/v1/run/-1/", "/api/v1//", "/api/"] {
        assert_eq!(Target::of(path, ""), Err(Answer::no_path()), "{path}");
    }
    let elsewhere = Target::of("/api/v1/run", "state=started");
    assert_eq!(elsewhere, Err(Answer::elsewhere("/api/v1/run/?state=started".to_owned())));
    assert_eq!(Target::of("/api/v1", ""), Err(Answer::elsewhere("/api/v1/".to_owned())));
}

#[test]
fn a_method_is_allowed_refused_or_asked_for() {
    let job = Target::Detail(Resource::Job, "1".to_owned());
    assert_eq!(job.refuses("PUT"), None);
    assert_eq!(job.refuses("DELETE"), Some(Answer::not_allowed(&["GET", "PUT", "PATCH"])));
    assert_eq!(job.refuses("OPTIONS").map(|answer| answer.status), Some(200));
    assert_eq!(Target::Schema(Resource::Job).refuses("POST").map(|answer| answer.status), Some(405));
    assert_eq!(Target::List(Resource::Run).refuses("HEAD").map(|answer| answer.status), Some(405));
}
