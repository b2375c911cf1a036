use super::is_needed;
use crate::server::domain::resource::Resource;

#[test]
fn a_worker_reports_runs_logs_kills_and_itself_and_nothing_else() {
    let mut allowed = Vec::new();
    for resource in Resource::ALL {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for is_itself in [true, false] {
                if is_needed(method, resource, is_itself) {
                    allowed.push((method, resource.name(), is_itself));
                }
            }
        }
    }
    assert_eq!(
        allowed,
        [
            ("PATCH", "kill_request", true),
            ("PATCH", "kill_request", false),
            ("PATCH", "run", true),
            ("PATCH", "run", false),
            ("POST", "run_log", true),
            ("POST", "run_log", false),
            ("PATCH", "run_log", true),
            ("PATCH", "run_log", false),
            ("PATCH", "worker", true),
        ]
    );
}
