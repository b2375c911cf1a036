//! Queries and the terms that narrow a list.

use super::*;

const ZONE: Tz = Tz::Europe__Amsterdam;

fn narrowed(resource: Resource, query: &str) -> Result<Vec<Term>, FilterRefusal> {
    terms(resource, &Pairs::of(query), ZONE)
}

fn field(over: &[(&'static str, Resource)], field: &str, test: Test) -> Term {
    Term::Field { over: over.to_vec(), field: field.to_owned(), test }
}

#[test]
fn fields_narrow_by_themselves_and_over_relations() {
    let text = |text: &str| Test::Compared(Comparison::Equal, FilterValue::Text(text.to_owned()));
    let rows = [
        (Resource::Project, "title=Site", field(&[], "title", text("Site"))),
        (Resource::Run, "job=7", field(&[], "job", Test::Compared(Comparison::Equal, FilterValue::Number(7)))),
        (Resource::Run, "worker__api_key=web1", field(&[("worker", Resource::Worker)], "api_key", text("web1"))),
        (
            Resource::Run,
            "job__job_template__project__title=Site",
            field(
                &[("job", Resource::Job), ("job_template", Resource::JobTemplate), ("project", Resource::Project)],
                "title",
                text("Site"),
            ),
        ),
        (
            Resource::Worker,
            "api_key__startswith=w%25_",
            field(&[], "api_key", Test::Matches(Pattern::new(TextPlace::Start, "w%_").unwrap())),
        ),
        (
            Resource::Run,
            "is_manual__exact=True",
            field(&[], "is_manual", Test::Compared(Comparison::Equal, FilterValue::Number(1))),
        ),
        (Resource::Run, "worker__isnull=true", field(&[], "worker", Test::IsNull(true))),
        (Resource::Run, "worker=none", field(&[], "worker", Test::IsNull(true))),
        (Resource::Run, "project_id=3", Term::OfProject(3)),
    ];
    for (resource, query, term) in rows {
        assert_eq!(narrowed(resource, query), Ok(vec![term]), "{query}");
    }
}

#[test]
fn what_is_no_field_is_ignored_and_of_a_name_said_twice_the_last_counts() {
    for query in ["", "foo=bar", "limit=1&offset=2", "format=json", "state=nonsense"] {
        assert_eq!(narrowed(Resource::Run, query), Ok(Vec::new()), "{query}");
    }
    assert_eq!(narrowed(Resource::Run, "job=1&job=2"), narrowed(Resource::Run, "job=2"));
    let both = Test::In(vec![FilterValue::Number(1), FilterValue::Number(2), FilterValue::Number(3)]);
    assert_eq!(narrowed(Resource::Run, "job__in=1,2&job__in=3"), Ok(vec![field(&[], "job", both)]));
}

#[test]
fn what_the_original_refuses_is_refused() {
    let rows = [
        (Resource::Run, "id=1"),
        (Resource::Run, "job__id=1"),
        (Resource::Run, "job__title__icontains=x"),
        (Resource::Run, "worker__title=x"),
        (Resource::Run, "job=abc"),
        (Resource::Run, "project_id=abc"),
        (Resource::Run, "schedule_dts__gte=yesterday"),
        (Resource::Run, "schedule_dts__range=2026-01-01"),
        (Resource::Run, "order_by=id"),
        (Resource::Project, "id__in=1"),
        (Resource::Project, "title__id=1"),
        (Resource::KillRequest, "run=1"),
        (Resource::RunLog, "content=x"),
        (Resource::Group, "name=x"),
    ];
    for (resource, query) in rows {
        assert!(narrowed(resource, query).is_err(), "{query}");
    }
}

#[test]
fn a_page_has_bounds() {
    let rows = [
        ("", Ok((200, 0))),
        ("limit=5&offset=10", Ok((5, 10))),
        ("limit=0", Ok((1000, 0))),
        ("limit=5000", Ok((1000, 0))),
        ("limit=-1", Err(())),
        ("limit=", Err(())),
        ("offset=x", Err(())),
        ("offset=-1", Err(())),
    ];
    for (query, expected) in rows {
        assert_eq!(page(&Pairs::of(query), 200, 1000).map_err(drop), expected, "{query}");
    }
    let pairs = Pairs::of("job__title=a%20b&limit=1&offset=7");
    assert_eq!(page_path(Resource::Run, &pairs, 2, 4), "/api/v1/run/?job__title=a+b&limit=2&offset=4");
}
