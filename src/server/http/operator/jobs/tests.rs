use chrono_tz::Tz;

use super::parse_schedule;
use crate::server::domain::model::Schedule;
use crate::server::domain::schedule::Cron;
use crate::wire::operator::NewJobRequest;

#[test]
fn a_job_has_one_schedule_and_in_a_zone_that_exists() {
    let job = |every: Option<&str>, cron: Option<&str>, zone: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let new = NewJobRequest { every: text(every), cron: text(cron), zone: text(zone), ..NewJobRequest::default() };
        parse_schedule(&new, Tz::UTC).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(job(None, None, None), Ok(Schedule::None));
    let cron = |zone| Schedule::Cron { expression: Cron::new("0 6 * * *").unwrap(), zone };
    assert_eq!(job(None, Some("0 6 * * *"), None), Ok(cron(Tz::UTC)));
    assert_eq!(job(None, Some("0 6 * * *"), Some("Asia/Tokyo")), Ok(cron(Tz::Asia__Tokyo)));
    assert!(job(None, Some("0 6 * * *"), Some("Asia/Tokio")).unwrap_err().contains("no time zone"));
    assert!(job(None, Some("every day"), None).unwrap_err().contains("no cron expression"));
    for every in [None, Some("1 hour")] {
        assert!(job(every, None, Some("Asia/Tokyo")).unwrap_err().contains("cron expression"), "{every:?}");
    }
    assert!(job(Some("1 hour"), Some("0 6 * * *"), None).unwrap_err().contains("not both"));
}
