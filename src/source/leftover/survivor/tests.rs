//! Tests of the survivor: a table of decisions, and properties of any combination.

use proptest::prelude::*;

use super::*;

fn noted(attempt: u32, ended: bool) -> Option<OutboxNote> {
    Some(OutboxNote { attempt: Attempt(attempt), ended })
}

/// Row of the table: the outbox's note, the records, and the source that counts.
type Row = (Option<OutboxNote>, &'static [(u32, Recorded)], Option<Survivor>);

#[test]
fn the_rows() {
    use Recorded::{Ended, Living, Orphaned};
    let outbox = Some(Survivor::Outbox);
    let record = |attempt| Some(Survivor::Record(Attempt(attempt)));
    let rows: [Row; 16] = [
        (None, &[], None),
        // The outbox was lost.
        (None, &[(1, Living)], record(1)),
        (None, &[(2, Ended)], record(2)),
        (None, &[(1, Orphaned)], record(1)),
        (None, &[(1, Ended), (2, Living)], record(2)),
        (None, &[(1, Orphaned), (2, Orphaned)], record(2)),
        // The usual course: claimed and not executed yet, running, or ended.
        (noted(1, false), &[], outbox),
        (noted(1, false), &[(1, Living)], outbox),
        (noted(1, true), &[(1, Ended)], outbox),
        // Records of an earlier attempt are left.
        (noted(2, false), &[(1, Orphaned)], outbox),
        (noted(2, false), &[(1, Orphaned), (2, Living)], outbox),
        (noted(2, true), &[(1, Ended)], outbox),
        // The outbox is older than the records, or its number of the attempt is wrong.
        (noted(1, false), &[(2, Living)], record(2)),
        (noted(1, false), &[(2, Orphaned)], record(2)),
        (noted(129, false), &[(1, Living)], record(1)),
        (noted(129, false), &[(1, Ended)], record(1)),
    ];
    for (noted, records, expected) in rows {
        let records: Vec<_> = records.iter().map(|(attempt, is)| (Attempt(*attempt), *is)).collect();
        assert_eq!(of(noted, &records), expected, "{noted:?} {records:?}");
    }
}

fn any_record() -> impl Strategy<Value = (Attempt, Recorded)> {
    let is = prop_oneof![Just(Recorded::Living), Just(Recorded::Ended), Just(Recorded::Orphaned)];
    ((1..5_u32).prop_map(Attempt), is)
}

proptest! {
    #[test]
    fn what_lives_or_ended_is_never_overlooked(
        noted in proptest::option::of(((1..5_u32), any::<bool>())),
        records in proptest::collection::btree_map((1..5_u32).prop_map(Attempt), any_record().prop_map(|(_, is)| is), 0..4),
    ) {
        let noted = noted.map(|(attempt, ended)| OutboxNote { attempt: Attempt(attempt), ended });
        let listed: Vec<_> = records.clone().into_iter().collect();
        let survivor = of(noted, &listed);
        let attempt = match survivor {
            Some(Survivor::Record(attempt)) => Some(attempt),
            Some(Survivor::Outbox) => noted.map(|noted| noted.attempt),
            None => None,
        };
        let counts = attempt.and_then(|attempt| records.get(&attempt).copied());
        if records.values().any(|is| *is == Recorded::Living) {
            prop_assert_eq!(counts, Some(Recorded::Living));
        } else if records.values().any(|is| *is == Recorded::Ended) {
            let told = noted.is_some_and(|noted| noted.ended) && survivor == Some(Survivor::Outbox);
            prop_assert!(told || counts == Some(Recorded::Ended));
        }
        prop_assert_eq!(survivor.is_none(), noted.is_none() && records.is_empty());
    }
}
