use std::collections::BTreeMap;

use super::*;

fn job(id: i64) -> JobId {
    JobId::new(id).unwrap()
}

fn check(chains: &[(i64, i64)], child: i64, parent: i64) -> Result<(), Loop> {
    let parents: BTreeMap<_, _> = chains.iter().map(|(child, parent)| (job(*child), job(*parent))).collect();
    may_follow(job(child), job(parent), |of| parents.get(&of).copied())
}

#[test]
fn a_chain_may_be_as_long_as_it_likes() {
    let chain: Vec<_> = (2..10_000).map(|id| (id, id - 1)).collect();
    assert_eq!(check(&chain, 10_000, 9_999), Ok(()));
}

/// The original remembers what it has seen from one question to the next, and refuses a good parent the second time.
#[test]
fn the_same_question_has_the_same_answer_again() {
    for _ in 0..3 {
        assert_eq!(check(&[(2, 1)], 3, 2), Ok(()));
    }
}

#[test]
fn no_chain_comes_back() {
    assert_eq!(check(&[], 1, 1), Err(Loop { job: job(1), parent: job(1) }));
    assert_eq!(check(&[(2, 1), (3, 2)], 1, 3), Err(Loop { job: job(1), parent: job(3) }));
    assert_eq!(
        check(&[(2, 1), (3, 2)], 1, 3).unwrap_err().to_string(),
        "job 1 cannot run after job 3, which runs after it"
    );
}

#[test]
fn a_loop_of_others_ends_the_question() {
    assert_eq!(check(&[(2, 3), (3, 2)], 1, 2), Ok(()));
}
