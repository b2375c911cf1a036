use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// Creates a pool whose shims are shell scripts that run `first`, greet and live for five seconds.
fn pool(folder: &TempDir, first: &str) -> ShimPool {
    let path = folder.path().join("shim");
    let greeting = r#"{"say":"hello","v":1,"shim":%d,"supervision":"none"}"#;
    let script =
        format!("#!/bin/sh\ncd {}\n{first}\nprintf '{greeting}' $$ >&0\nexec sleep 5\n", folder.path().display());
    fs::write(&path, script).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("our own file");
    let program = ShimProgram { path, cgroup: false, descriptors: None };
    let script_spares = Arc::new(Spares::new(folder.path().join("script_spares")));
    ShimPool::new(program, folder.path(), Environment::Clean, script_spares, 1)
}

fn order() -> ExecutionOrder {
    ExecutionOrder {
        run: 1,
        attempt: 1,
        token: "token".to_owned(),
        command: vec!["/bin/sh".to_owned()],
        script: PathBuf::from("/script"),
        record: PathBuf::from("/record"),
        output: PathBuf::from("/output"),
        head: 0,
        tail: 0,
        linger_ms: 0,
        stop_leftovers: false,
        grace_ms: 0,
        timeout_ms: None,
        environment: Vec::new(),
        redact: Vec::new(),
        durable: false,
        spare: None,
        script_spare: None,
    }
}

#[tokio::test]
async fn a_shim_that_dies_before_its_order_costs_the_run_nothing() {
    let folder = TempDir::new().expect("a folder");
    let pool = pool(&folder, "echo >>started; [ $(wc -l <started) -ge 3 ] || exit 1");
    pool.execute(order()).await.expect("the third lives");
    let started = fs::read_to_string(folder.path().join("started")).expect("what the shims wrote");
    assert_eq!(started.lines().count(), 3);
}

#[tokio::test]
async fn where_no_shim_lives_that_is_said() {
    let folder = TempDir::new().expect("a folder");
    let failed = pool(&folder, "exit 1").execute(order()).await.expect_err("nobody");
    assert_eq!(failed.to_string(), "it ended before it greeted");
}
