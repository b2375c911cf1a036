use super::{LANES, LaneFilter};
use crate::server::domain::model::{JobId, ProjectId, RunState};
use crate::server::store::{EndFilter, Sought};

fn parse(query: &str) -> LaneFilter {
    LaneFilter::parse(query, None)
}

#[test]
fn an_address_says_what_is_sought() {
    assert!(parse("").is_everything());
    assert_eq!(parse("").lanes(), LANES);
    let filter = LaneFilter::parse("q=+back+%25up+&job=3&state=failed&project=2", ProjectId::new(2));
    let sought = Sought {
        project: ProjectId::new(2),
        job: JobId::new(3),
        text: Some("back %up".to_owned()),
        titled: Vec::new(),
        end: Some(EndFilter::Failed),
    };
    assert_eq!((&filter.sought, filter.lanes()), (&sought, vec![RunState::Completed]));
    for (word, lane) in
        [("scheduled", RunState::Scheduled), ("claimed", RunState::InQueue), ("running", RunState::Started)]
    {
        let filter = parse(&format!("state={word}"));
        assert_eq!((filter.lanes(), filter.sought.end, filter.is_alone()), (vec![lane], None, true));
    }
    assert_eq!(parse("state=completed").lanes(), [RunState::Completed]);
}

#[test]
fn what_makes_no_sense_is_as_if_it_were_not_said() {
    for query in
        ["q=", "job=x", "job=-1", "state=<b>", "after=x", "after=1.0", "after=99999999999999999.1", "x=y", "&&=&"]
    {
        assert_eq!(parse(query), LaneFilter::default(), "{query}");
    }
    // Where all lanes are shown, none of them begins after a run.
    assert_eq!(parse("after=1.2"), LaneFilter::default());
    assert_eq!(parse(&format!("q={}", "x".repeat(300))).sought.text.map(|text| text.len()), Some(200));
}

#[test]
fn only_what_has_changed_is_read_again() {
    assert_eq!(parse("lane=scheduled&lane=running").changed(), [RunState::Scheduled, RunState::Started]);
    assert_eq!(parse("lane=x").changed(), LANES);
    assert_eq!(parse("lane=scheduled&state=failed").changed(), []);
}

#[test]
fn the_address_of_a_page_leads_to_it() {
    let query = "state=failed&project=2&job=3&q=a+%26+b&after=1764000000000000.12";
    let filter = LaneFilter::parse(query, ProjectId::new(2));
    assert_eq!(filter.address(RunState::Completed, filter.after), format!("/?{query}"));
    assert_eq!(parse("").address(RunState::InQueue, None), "/?state=claimed");
}
