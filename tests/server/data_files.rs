//! Files of the data directory: readable by the server's user alone.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::program::{JOB_RUNNER, Lasting, Place};

const INI: &str = "[job_runner]\ndata_path = data\nlisten = 127.0.0.1:0\nbroadcaster_listen = 127.0.0.1:0\n\
    events_listen = 127.0.0.1:0\npid_file = pid\n";

/// The rights of each file in a directory.
fn modes(folder: &Path) -> BTreeMap<String, u32> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mode = |entry: &std::fs::DirEntry| entry.metadata().expect("rights").permissions().mode() & 0o777;
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), mode(&entry))).collect()
}

async fn serve(place: &Place, umask: &str) -> Lasting {
    place.script("server.ini", INI);
    let line = format!("umask {umask}; exec {JOB_RUNNER} serve --config server.ini --log-format text 2>&1");
    let mut serve = place.start_by("sh", &["-c", &line]);
    serve.line_with("server started").await;
    serve
}

#[tokio::test]
async fn every_file_is_for_its_user_alone_whatever_the_umask_and_the_directory() {
    for umask in ["000", "022", "077", "777"] {
        let place = Place::new();
        let data = place.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        std::fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("rights");
        let serve = serve(&place, umask).await;
        let written = place.run(&["worker", "add", "web1", "--json", "--data", "data"]).await;
        assert_eq!(written.code, 0, "{written:?}");
        let found = modes(&data);
        for name in ["job_runner.sqlite", "job_runner.sqlite-wal", "job_runner.sqlite-shm", "operator.token"] {
            assert!(found.contains_key(name), "{umask}: {found:?}");
        }
        for (name, mode) in found {
            assert_eq!(mode, 0o600, "umask {umask}: {name} has {mode:o}");
        }
        serve.signal(Signal::SIGTERM);
        assert_eq!(serve.end().await.code, 0);
    }
}

#[tokio::test]
async fn files_that_others_could_read_are_reported_at_the_start_and_closed() {
    let place = Place::new();
    let first = serve(&place, "077").await;
    first.signal(Signal::SIGTERM);
    assert_eq!(first.end().await.code, 0);
    let data = place.path().join("data");
    for name in ["job_runner.sqlite", "operator.token"] {
        std::fs::set_permissions(data.join(name), Permissions::from_mode(0o644)).expect("rights");
    }
    std::fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("rights");
    let line = format!("exec {JOB_RUNNER} serve --config server.ini --log-format text 2>&1");
    let mut second = place.start_by("sh", &["-c", &line]);
    second.line_with("other users may list the data directory").await;
    for name in ["job_runner.sqlite", "operator.token"] {
        let line = second.line_with("could be read by other users").await;
        assert!(line.contains(name) && line.contains("mode=644"), "{line}");
    }
    second.line_with("server started").await;
    assert!(modes(&data).values().all(|mode| *mode == 0o600), "{:?}", modes(&data));
    second.signal(Signal::SIGTERM);
    assert_eq!(second.end().await.code, 0);

    std::fs::set_permissions(&data, Permissions::from_mode(0o777)).expect("rights");
    let refused = place.run(&["serve", "--config", "server.ini"]).await;
    assert_eq!(refused.code, 73, "{refused:?}");
    assert!(refused.err.contains("other users may write into the data directory"), "{refused:?}");
}
