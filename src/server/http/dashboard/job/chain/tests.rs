use super::chain;
use crate::server::domain::model::JobId;
use crate::server::store::JobLink;

fn link(id: i64, parent: i64) -> JobLink {
    let id = JobId::new(id).unwrap();
    JobLink { id, title: format!("job {id}"), parent: JobId::new(parent), enabled: true }
}

fn shown(family: &[JobLink], job: i64) -> String {
    let links = chain(family, JobId::new(job).unwrap());
    let line = |link: &super::ChainLink<'_>| {
        format!("{}{}{}", "  ".repeat(link.depth), link.job.title, if link.is_self { " <" } else { "" })
    };
    links.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_chain_is_told_from_the_first_to_the_last() {
    let family = [link(1, 0), link(2, 1), link(3, 2), link(4, 3), link(5, 3), link(6, 4), link(7, 5)];
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
    assert_eq!(shown(&[link(1, 2), link(2, 1)], 1), "job 2\n  job 1 <");
    assert_eq!(shown(&[link(1, 1)], 1), "job 1 <");
}
