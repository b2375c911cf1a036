//! A job among its ancestors and descendants, as a list that can be followed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::domain::model::JobId;
use crate::server::store::JobLink;

#[cfg(test)]
mod tests;

/// One of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The job.
    pub kin: &'a JobLink,
    /// How many come before it.
    pub depth: usize,
    /// Whether it is the job that the chain is told of.
    pub is_self: bool,
}

/// The ancestors of a job, the first one first, then it and all that comes after it, each before those after it.
#[must_use]
pub fn chain(family: &[JobLink], job: JobId) -> Vec<Link<'_>> {
    let known: BTreeMap<JobId, &JobLink> = family.iter().map(|kin| (kin.id, kin)).collect();
    let mut above = Vec::new();
    // Loops are refused where they would be made; one that is there all the same ends.
    let mut seen = BTreeSet::from([job]);
    let mut next = known.get(&job).and_then(|kin| kin.parent);
    while let Some(kin) = next.and_then(|parent| known.get(&parent)).filter(|kin| seen.insert(kin.id)) {
        above.push(*kin);
        next = kin.parent;
    }
    let ancestors = above.iter().rev().enumerate();
    let mut links: Vec<Link<'_>> = ancestors.map(|(depth, kin)| Link { kin, depth, is_self: false }).collect();
    let mut open: Vec<(usize, &JobLink)> = known.get(&job).map(|kin| (links.len(), *kin)).into_iter().collect();
    while let Some((depth, kin)) = open.pop() {
        links.push(Link { kin, depth, is_self: kin.id == job });
        let children = family.iter().rev().filter(|child| child.parent == Some(kin.id));
        open.extend(children.filter(|child| seen.insert(child.id)).map(|child| (depth + 1, child)));
    }
    links
}
