use super::*;

fn folder(max_log: u64) -> (tempfile::TempDir, LogFolder) {
    let directory = tempfile::tempdir().unwrap();
    let logs = LogFolder::new(directory.path().join("logs"), max_log);
    (directory, logs)
}

fn ids() -> (ObjectId, ObjectId) {
    (ObjectId::new(0xabcd_0000, [1; 5], 2), ObjectId::new(3, [1; 5], 4))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_log_has_the_path_of_the_original_and_whole_lines() {
    let (directory, logs) = folder(1000);
    let (job, task) = ids();
    assert!(logs.open(job, task).unwrap().is_none());
    logs.append(job, task, "one").unwrap();
    logs.append(job, task, "two\n").unwrap();
    let path = directory.path().join(format!("logs/job-abcd/{job}/task-{task}.txt"));
    assert_eq!(read(path), "one\ntwo\n");
}

#[test]
fn logs_of_earlier_workers_are_kept_under_numbers() {
    let (_directory, logs) = folder(1000);
    let (job, task) = ids();
    logs.rotate(job, task).unwrap();
    for number in 1..=12 {
        logs.append(job, task, &format!("worker {number}")).unwrap();
        logs.rotate(job, task).unwrap();
    }
    let path = logs.path(job, task);
    assert!(!path.exists());
    let kept = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    assert_eq!(read(kept(1)), "worker 12\n");
    assert_eq!(read(kept(10)), "worker 3\n");
    assert!(!kept(11).exists());
}

#[test]
fn a_full_log_says_so_once_and_grows_no_further() {
    let (_directory, logs) = folder(10);
    let (job, task) = ids();
    for _ in 0..5 {
        logs.append(job, task, "1234567").unwrap();
    }
    let text = read(logs.path(job, task));
    assert_eq!(text, format!("1234567\n12{}", String::from_utf8_lossy(FULL)));
}

#[test]
fn a_long_log_is_shown_by_its_ends() {
    let (_directory, logs) = folder(1 << 20);
    let (job, task) = ids();
    assert_eq!(logs.excerpt(job, task).unwrap(), None);
    logs.append(job, task, "short").unwrap();
    assert_eq!(logs.excerpt(job, task).unwrap().unwrap(), b"short\n");
    let lines: Vec<String> = (0..5000).map(|number| format!("line {number:06}")).collect();
    logs.append(job, task, &lines.join("\n")).unwrap();
    let text = String::from_utf8(logs.excerpt(job, task).unwrap().unwrap()).unwrap();
    let (head, rest) = text.split_once("\n\n...Skipped ").unwrap();
    let (skipped, tail) = rest.split_once(" bytes...\n\n").unwrap();
    assert!(head.starts_with("short\nline 000000\n") && head.len() == 5 * 1024);
    assert!(tail.starts_with("line ") && tail.ends_with("line 004999\n"), "{tail}");
    assert_eq!(skipped.parse::<usize>().unwrap(), 6 + 5000 * 12 - head.len() - tail.len());
}
