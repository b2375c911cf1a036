use super::*;

#[test]
fn what_is_said_is_read() {
    assert_eq!(text(None), "none");
    assert_eq!(read("none"), None);
    for action in WorkerCommand::ALL {
        for pace in [Pace::AfterRuns, Pace::Now] {
            let request = WorkerRequest { id: RequestId::new(17).unwrap(), action, pace };
            assert_eq!(read(&text(Some(request))), Some(request));
        }
    }
    insta::assert_snapshot!(text(read("17 restart now")), @"17 restart now");
    insta::assert_snapshot!(text(read("17 sleep")), @"17 sleep");
}

#[test]
fn what_nobody_knows_is_sleep_and_what_is_no_request_is_none() {
    let id = RequestId::new(9).unwrap();
    let sleep = WorkerRequest { id, action: WorkerCommand::Sleep, pace: Pace::AfterRuns };
    assert_eq!(read("9 hibernate now please"), Some(sleep));
    for nonsense in ["", "9", "0 sleep", "-3 sleep", "sleep", "sleep 9", "99999999999999999999 sleep"] {
        assert_eq!(read(nonsense), None, "{nonsense:?}");
    }
}
