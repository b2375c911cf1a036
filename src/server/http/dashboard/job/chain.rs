//! Chain of a job: its ancestors and descendants, as a list with depths. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::domain::model::JobId;
use crate::server::store::JobLink;

#[cfg(test)]
mod tests;

/// Job in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink<'a> {
    /// Job that stands at this place.
    pub job: &'a JobLink,
    /// Number of jobs above this one in the chain.
    pub depth: usize,
    /// Whether this is the job whose chain it is.
    pub is_self: bool,
}

/// Returns the ancestors of a job, the topmost first, then the job and its descendants in depth-first order.
#[must_use]
pub fn chain(family: &[JobLink], job: JobId) -> Vec<ChainLink<'_>> {
    let known: BTreeMap<JobId, &JobLink> = family.iter().map(|link| (link.id, link)).collect();
    let mut above = Vec::new();
    // Loops are refused where they would be made; the set of seen jobs ends one that exists all the same.
    let mut seen = BTreeSet::from([job]);
    let mut next = known.get(&job).and_then(|link| link.parent);
    while let Some(link) = next.and_then(|parent| known.get(&parent)).filter(|link| seen.insert(link.id)) {
        above.push(*link);
        next = link.parent;
    }
    let ancestors = above.iter().rev().enumerate();
    let mut links: Vec<ChainLink<'_>> =
        ancestors.map(|(depth, link)| ChainLink { job: link, depth, is_self: false }).collect();
    let mut open: Vec<(usize, &JobLink)> = known.get(&job).map(|link| (links.len(), *link)).into_iter().collect();
    while let Some((depth, link)) = open.pop() {
        links.push(ChainLink { job: link, depth, is_self: link.id == job });
        // Reversed on the stack, children come out in the order of `family`.
        let children = family.iter().rev().filter(|child| child.parent == Some(link.id));
        open.extend(children.filter(|child| seen.insert(child.id)).map(|child| (depth + 1, child)));
    }
    links
}
