//! Tests of the limits at which claims stop and resume.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { slots: 4, min_free_bytes: 1000 };

fn plenty() -> AdmissionFacts {
    let room = |key| DiskRoom { key, bytes: u64::MAX, files: u64::MAX };
    let rooms = vec![room("state_path"), room("script_temp_path")];
    AdmissionFacts { backlog: 0, outbox: None, shortage: None, free: FreeResources { rooms, descriptors: u64::MAX } }
}

fn backlog(backlog: usize) -> AdmissionFacts {
    AdmissionFacts { backlog, ..plenty() }
}

fn bytes(bytes: u64) -> AdmissionFacts {
    let mut facts = plenty();
    facts.free.rooms[0].bytes = bytes;
    facts
}

fn files(files: u64) -> AdmissionFacts {
    let mut facts = plenty();
    facts.free.rooms[1].files = files;
    facts
}

fn descriptors(descriptors: u64) -> AdmissionFacts {
    let mut facts = plenty();
    facts.free.descriptors = descriptors;
    facts
}

#[test]
fn where_there_is_plenty_runs_are_claimed() {
    let mut admission = Admission::default();
    assert!(admission.is_open());
    assert_eq!((admission.judge(&plenty(), BOUNDS), admission.is_open()), (AdmissionChange::None, true));
}

#[test]
fn each_bound_holds_and_lets_go_at_another_value() {
    // Per row: the last value that suffices, the first that does not, the last that still does not resume, the first
    // that does.
    let rows = [
        [backlog(99), backlog(100), backlog(50), backlog(49)],
        [bytes(1000), bytes(999), bytes(1249), bytes(1250)],
        [files(64), files(63), files(79), files(80)],
        [descriptors(24), descriptors(23), descriptors(29), descriptors(30)],
    ];
    for [enough, too_little, still, again] in rows {
        let mut admission = Admission::default();
        let steps = [enough, too_little, still, again].map(|facts| admission.judge(&facts, BOUNDS));
        assert_eq!(
            steps,
            [AdmissionChange::None, AdmissionChange::Held, AdmissionChange::None, AdmissionChange::Released]
        );
    }
}

#[test]
fn a_second_lack_is_told_and_the_end_of_one_of_two_is_not() {
    let mut admission = Admission::default();
    assert_eq!(admission.judge(&bytes(3), BOUNDS), AdmissionChange::Held);
    assert_eq!(admission.judge(&bytes(2), BOUNDS), AdmissionChange::None);
    let both = AdmissionFacts { outbox: Some("the outbox cannot be written".to_owned()), ..bytes(2) };
    assert_eq!(admission.judge(&both, BOUNDS), AdmissionChange::Held);
    let told: Vec<String> = admission.lacks().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["2 bytes are free where state_path is", "the outbox cannot be written"]);
    assert_eq!((admission.judge(&bytes(2), BOUNDS), admission.is_open()), (AdmissionChange::None, false));
    assert_eq!(admission.judge(&plenty(), BOUNDS), AdmissionChange::Released);
}

#[test]
fn no_bound_on_free_bytes_never_holds() {
    let mut admission = Admission::default();
    admission.judge(&bytes(0), Bounds { min_free_bytes: 0, ..BOUNDS });
    assert!(admission.is_open());
}

proptest! {
    #[test]
    fn it_is_told_exactly_when_it_changes(steps in proptest::collection::vec((0..200_usize, 0..2000_u64, any::<bool>()), 1..50)) {
        let mut admission = Admission::default();
        for (waiting, free, broken) in steps {
            let before = admission.is_open();
            let outbox = broken.then(|| "broken".to_owned());
            let change = admission.judge(&AdmissionFacts { backlog: waiting, outbox, ..bytes(free) }, BOUNDS);
            prop_assert_eq!(change == AdmissionChange::Released, !before && admission.is_open());
            prop_assert!(change != AdmissionChange::Held || !admission.is_open());
            prop_assert!(!before || admission.is_open() || change == AdmissionChange::Held);
        }
    }
}

#[test]
fn what_was_counted_is_good_for_some_claims() {
    assert_eq!([0, 5, 12, 13].map(|claims| descriptors_left(50, claims)), [50, 30, 2, 0]);
    assert_eq!(descriptors_left(u64::MAX, u64::MAX), 0);
}

#[test]
fn only_an_open_door_is_certain_to_stay_open() {
    let mut admission = Admission::default();
    assert!(admission.is_certain(&plenty(), BOUNDS));
    assert!(!admission.is_certain(&descriptors(23), BOUNDS));
    admission.judge(&descriptors(23), BOUNDS);
    assert!(!admission.is_certain(&plenty(), BOUNDS));
}

#[test]
fn a_disk_with_much_space_is_trusted_for_a_moment_and_one_with_little_is_not() {
    let room = |bytes, files| DiskRoom { key: "state_path", bytes, files };
    let left = |bytes, files, claims| {
        let left = room_left(&room(bytes, files), claims);
        (left.bytes, left.files)
    };
    const MIB: u64 = 1024 * 1024;
    assert_eq!(left(1000 * MIB, 10_000, 0), (744 * MIB, 8976));
    assert_eq!(left(1000 * MIB, 10_000, 10), (584 * MIB, 8936));
    assert_eq!(left(200 * MIB, 1000, 0), (0, 0), "others may take that at any time");
    assert_eq!(left(1000 * MIB, 10_000, u64::MAX), (0, 0));
    assert_eq!(left(u64::MAX, u64::MAX, 1000), (u64::MAX, u64::MAX), "this disk cannot be measured");
    let mut facts = plenty();
    let admission = Admission::default();
    facts.free.rooms[0] = room_left(&room(1000 * MIB, 10_000), 1);
    assert!(admission.is_certain(&facts, BOUNDS));
    facts.free.rooms[0] = room_left(&room(8 * MIB, 10_000), 1);
    assert!(!admission.is_certain(&facts, BOUNDS));
}
