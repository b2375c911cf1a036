//! Files of scripts, which later scripts use again: nobody sees the script of another run.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::support::{Latch, Options, Server, Tmpfs, WorkerHome, WorkerProcess, prints, skip};
use crate::{until, up, worker};

/// Says which file it is in.
const INODE: &str = "#!/bin/sh\nstat -c %i \"$0\"\n";

/// The files that wait to become scripts.
fn spares(home: &WorkerHome) -> Vec<PathBuf> {
    let listed = fs::read_dir(home.own_state_path().join("script_spares"));
    listed.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn scripts(home: &WorkerHome) -> Vec<PathBuf> {
    fs::read_dir(home.scripts_path()).unwrap().flatten().map(|entry| entry.path()).collect()
}

/// The one script that is there.
fn only_script(home: &WorkerHome) -> PathBuf {
    let listed = scripts(home);
    assert_eq!(listed.len(), 1, "{listed:?}");
    listed[0].clone()
}

async fn log_of(server: &Server, script: impl Into<String>) -> String {
    let id = server.submit(script.into());
    server.wait_returned(id).await.log_text().to_owned()
}

#[tokio::test]
async fn a_script_is_written_into_the_emptied_file_of_the_last_one() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    let first = log_of(&server, INODE).await;
    let home = worker.home();
    for _ in 0..3 {
        let waiting = spares(home);
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let about = fs::metadata(&waiting[0]).unwrap();
        assert_eq!((about.len(), about.mode() & 0o7777), (0, 0o600), "nothing of a script is left when it is over");
        assert!(scripts(home).is_empty(), "{:?}", scripts(home));
        assert_eq!(log_of(&server, format!("{INODE}# {}\n", "longer ".repeat(1000))).await, first);
    }
    worker.assert_clean_end().await;
    assert!(spares(worker.home()).is_empty(), "a worker that ends leaves none");
}

#[tokio::test]
async fn a_reader_outside_the_run_keeps_the_script_that_it_opened() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    let latch = Latch::new();
    let script = latch.script("read");
    let run = server.submit(script.clone());
    server.wait_logged(run, "waiting").await;
    let path = only_script(worker.home());
    let mut reader = File::open(&path).unwrap();
    latch.let_through(1);
    server.wait_returned(run).await;
    assert!(!path.exists());
    assert!(spares(worker.home()).is_empty(), "its file is in use");
    assert_ne!(log_of(&server, INODE).await, format!("{}\n", reader.metadata().unwrap().ino()));
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, script);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_process_left_behind_reads_its_own_script_to_the_end() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1"), ("leftovers", "keep")]).await;
    let folder = tempfile::tempdir().unwrap();
    let [go, read] = ["go", "read"].map(|name| folder.path().join(name));
    let script = format!(
        "#!/bin/sh\nexec 9<\"$0\"\n(until [ -e {} ]; do sleep 0.02; done; cat <&9 > {}.part; mv {1}.part {1}) > /dev/null \
         2>&1 &\necho over\n",
        go.display(),
        read.display(),
    );
    assert!(log_of(&server, script.clone()).await.starts_with("over\n"));
    for n in 0..3 {
        assert_eq!(log_of(&server, prints(&n.to_string())).await, format!("{n}\n"));
    }
    fs::write(&go, "").unwrap();
    until("what it read", || read.exists()).await;
    assert_eq!(fs::read_to_string(&read).unwrap(), script);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_with_a_second_name_or_other_rights_is_no_other_runs_file() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    let folder = worker.home().scripts_path();
    let copy = worker.home().path().join("copy");
    let links = format!("#!/bin/sh\nln \"$0\" {}\n", copy.display());
    log_of(&server, links.clone()).await;
    log_of(&server, "#!/bin/sh\nchmod 755 \"$0\"\n").await;
    let is_private = format!("#!/bin/sh\nstat -c '%a %h' \"$0\"\nls {} | wc -l\n", folder.display());
    assert_eq!(log_of(&server, is_private).await, "600 1\n1\n");
    assert_eq!(fs::read_to_string(copy).unwrap(), links);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_that_executes_its_own_file_is_executed_in_a_used_file_too() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    let script =
        "#!/bin/sh\n[ -z \"$1\" ] || { chmod -x \"$0\"; echo again; exit; }\nchmod +x \"$0\"\nexec \"$0\" again\n";
    for _ in 0..3 {
        assert_eq!(log_of(&server, script).await, "again\n");
        assert_eq!(spares(worker.home()).len(), 1);
    }
    // A program in its place that is executed beyond the end of the run.
    let folder = tempfile::tempdir().unwrap();
    let program = "#!/bin/sh\ncp /bin/sleep \"$0.new\"\nmv \"$0.new\" \"$0\"\n\"$0\" 1000 > /dev/null 2>&1 &\n";
    log_of(&server, format!("{program}echo $! > {}/pid\n", folder.path().display())).await;
    assert!(spares(worker.home()).is_empty(), "its file is executed");
    assert_eq!(log_of(&server, prints("next")).await, "next\n");
    log_of(&server, format!("#!/bin/sh\nkill $(cat {}/pid)\n", folder.path().display())).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_worker_that_dies_leaves_no_file_of_a_script() {
    let (server, mut worker) = up(&[("concurrent_jobs", "2")]).await;
    log_of(&server, prints("before")).await;
    let latch = Latch::new();
    let run = server.submit(latch.script("a"));
    server.wait_logged(run, "waiting").await;
    log_of(&server, prints("meanwhile")).await;
    let (left, script) = (spares(worker.home()), only_script(worker.home()));
    assert!(!left.is_empty());
    worker.sigkill();
    worker.wait_exit().await;
    // The script ends under a shim without a worker.
    latch.let_through(1);
    until("the end of the script", || !script.exists()).await;
    worker.restart().await;
    assert_eq!(server.wait_returned(run).await.log_text(), "waiting\nthrough\n");
    assert!(spares(worker.home()).is_empty(), "{:?}", spares(worker.home()));
    assert_eq!(log_of(&server, prints("after")).await, "after\n");
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn scripts_on_another_file_system_than_the_state_are_written_anew() {
    let server = Server::start(Options::default()).await;
    let home = WorkerHome::new(&server, &worker().set("concurrent_jobs", 1).set("min_free_bytes", 1_000_000));
    let _disk = match Tmpfs::mount(&home.scripts_path(), "size=8m") {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let mut worker = WorkerProcess::start_in(home);
    server.wait_up().await;
    let first = log_of(&server, INODE).await;
    for _ in 0..3 {
        assert_ne!(log_of(&server, INODE).await, first);
        assert!(scripts(worker.home()).is_empty() && spares(worker.home()).is_empty());
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_job_that_removes_the_spare_files_disturbs_no_run() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    log_of(&server, prints("first")).await;
    let spare = worker.home().own_state_path().join("script_spares");
    for n in 0..3 {
        log_of(&server, format!("#!/bin/sh\nrm -rf {}\n", spare.display())).await;
        assert_eq!(log_of(&server, prints(&n.to_string())).await, format!("{n}\n"));
        assert!(scripts(worker.home()).is_empty());
    }
    worker.assert_clean_end().await;
}
