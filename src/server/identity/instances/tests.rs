use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::{Admission, InstanceTenure, Instances, Say};
use crate::run::Instance;
use crate::server::domain::model::WorkerId;
use crate::server::peers::Peers;

const PATIENCE: Duration = Duration::from_secs(10);

fn worker() -> WorkerId {
    WorkerId::new(1).expect("an id")
}

fn tenure(number: u128) -> InstanceTenure {
    let from = IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(number).expect("a small number")));
    InstanceTenure { instance: Instance::of_number(number), since: Utc::now(), from }
}

#[test]
fn a_second_instance_is_refused_until_the_first_is_silent_and_lost() {
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let instances = Instances::new(Vec::new(), PATIENCE, begin, Peers::alone());
    let (first, second) = (tenure(1), tenure(2));
    let admit = |who: &InstanceTenure, is_lost, seconds| instances.admit(worker(), who.clone(), is_lost, at(seconds));
    let refused = |silent, say| Admission::Refused(first.clone(), Duration::from_secs(silent), say);
    assert_eq!(admit(&first, false, 0), Admission::Bound(None));
    assert_eq!(admit(&second, false, 5), refused(5, Say::Now));
    assert_eq!(admit(&first, false, 6), Admission::Known);
    assert_eq!(admit(&second, true, 15), refused(9, Say::Not), "it does not answer pings, and is heard of");
    assert_eq!(admit(&second, false, 17), refused(11, Say::Not), "its runs are not lost yet");
    assert_eq!(admit(&second, true, 17), Admission::Bound(Some(first.instance.clone())));
    assert_eq!(admit(&first, true, 18), Admission::Refused(second.clone(), Duration::from_secs(1), Say::Now));
}

#[test]
fn who_says_that_it_leaves_makes_room_at_once_and_nobody_for_another() {
    let now = Instant::now();
    let instances = Instances::new(vec![(worker(), tenure(1))], PATIENCE, now, Peers::alone());
    assert!(!instances.release(worker(), &Instance::of_number(2)));
    assert!(!instances.hear(worker(), &Instance::of_number(2)));
    assert!(
        matches!(instances.admit(worker(), tenure(2), true, now), Admission::Refused(..)),
        "as if heard of just now"
    );
    assert!(instances.release(worker(), &Instance::of_number(1)));
    assert_eq!(instances.admit(worker(), tenure(2), false, now), Admission::Bound(None));
}
