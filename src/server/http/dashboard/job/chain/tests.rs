use super::chain;
use crate::server::domain::model::JobId;
use crate::server::store::JobLink;

fn kin(id: i64, parent: i64) -> JobLink {
    let id = JobId::new(id).unwrap();
    JobLink { id, title: format!("job {id}"), parent: JobId::new(parent), enabled: true }
}

fn shown(family: &[JobLink], job: i64) -> String {
    let links = chain(family, JobId::new(job).unwrap());
    let line = |link: &super::Link<'_>| {
        format!("{}{}{}", "  ".repeat(link.depth), link.kin.title, if link.is_self { " <" } else { "" })
    };
    links.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_chain_is_told_from_the_first_to_the_last() {
    let family = [kin(1, 0), kin(2, 1), kin(3, 2), kin(4, 3), kin(5, 3), kin(6, 4), kin(7, 5)];
    insta::assert_snapshot!(shown(&family, 3), @r#"
    job 1
      job 2
        job 3 <
          job 4
            job 6
          job 5
            job 7
    "#);
    assert_eq!(shown(&family[..1], 1), "job 1 <");
    assert_eq!(shown(&[], 1), "");
}

#[test]
fn a_chain_that_comes_back_ends() {
    assert_eq!(shown(&[kin(1, 2), kin(2, 1)], 1), "job 2\n  job 1 <");
    assert_eq!(shown(&[kin(1, 1)], 1), "job 1 <");
}
