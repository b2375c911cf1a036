use super::*;
use FarmWorkerStatus::{Asleep, Awake, Shutdown};

#[test]
fn actions_are_read_as_the_original_sends_them() {
    let ask = |status, is_lazy| Some(FarmAction::Ask(StatusChange { status, is_lazy }));
    let job: ObjectId = "5a1b2c3d4e5f60718293a4b5".parse().unwrap();
    for (form, action) in [
        ("action=set-status&status=asleep&lazy=true", ask(Asleep, true)),
        ("action=set-status&status=awake&lazy=false", ask(Awake, false)),
        ("action=set-status&status=shutdown", ask(Shutdown, false)),
        ("action=shutdown&lazy=true", ask(Shutdown, true)),
        ("action=ack-timeout", Some(FarmAction::NoteTimeoutSeen)),
        ("action=forget-worker", Some(FarmAction::Forget)),
        (
            "action=forget-blacklist-line&job_id=5a1b2c3d4e5f60718293a4b5&task_type=a%20b",
            Some(FarmAction::ForgetBlacklisted(job, "a b".to_owned())),
        ),
        ("action=set-status&status=testing", None),
        ("action=set-status&status=nonsense", None),
        ("action=set-status", None),
        ("action=send-test-job", None),
        ("action=forget-blacklist-line&job_id=1&task_type=a", None),
        ("", None),
    ] {
        assert_eq!(read(form.as_bytes()), action, "{form}");
    }
}
