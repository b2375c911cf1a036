//! Lists are read page by page, as far as they are wanted.

use super::client::OperatorClient;
use super::exit::{CommandFailure, say};
use crate::wire::operator::{JobList, RunList, WorkerList};

#[cfg(test)]
mod tests;

/// How many of a list are read at most: more of them are no list for people, and fill the memory.
pub const MOST: u32 = 100_000;
/// How many are asked for at once; the server has a bound of its own.
const AT_ONCE: u32 = 1000;

/// A page of a list.
pub trait Page: serde::de::DeserializeOwned {
    /// What is listed, as it is called.
    const WHAT: &'static str;

    /// How many are on it.
    fn length(&self) -> usize;
    /// How many there are in all, if that is known.
    fn total(&self) -> Option<u64>;
    /// Where the next one begins, if there is one.
    fn next(&mut self) -> Option<String>;
    /// Takes over what is on the next one.
    fn append(&mut self, next: Self);
}

macro_rules! page {
    ($page:ident, $list:ident) => {
        impl Page for $page {
            const WHAT: &'static str = stringify!($list);

            fn length(&self) -> usize {
                self.$list.len()
            }

            fn total(&self) -> Option<u64> {
                self.total
            }

            fn next(&mut self) -> Option<String> {
                self.next.take()
            }

            fn append(&mut self, next: Self) {
                self.$list.extend(next.$list);
                self.next = next.next;
            }
        }
    };
}

page!(JobList, jobs);
page!(RunList, runs);
page!(WorkerList, workers);

/// Reads a list up to a limit, and says on stderr where there is more.
///
/// # Errors
/// What is wrong with the server or what was asked.
pub async fn read<P: Page>(client: &OperatorClient, query: &[(&str, &str)], limit: u32) -> Result<P, CommandFailure> {
    let limit = limit.min(MOST);
    let mut list: Option<P> = None;
    loop {
        let (shown, after) = list.as_mut().map_or((0, None), |list| (list.length(), list.next()));
        let left = limit.saturating_sub(u32::try_from(shown).unwrap_or(u32::MAX)).min(AT_ONCE);
        match list {
            // An answer with nothing on it would be asked for again and again.
            Some(list) if left == 0 || after.is_none() => {
                list.total().and_then(|total| cut(P::WHAT, list.length(), total)).into_iter().for_each(say);
                return Ok(list);
            }
            _ => {}
        }
        let count = left.to_string();
        let mut query = [query, &[("limit", count.as_str())]].concat();
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: P = client.get(&[P::WHAT], &query).await?;
        match &mut list {
            Some(list) => list.append(page),
            None => list = Some(page),
        }
    }
}

/// What is said where there are more than are shown.
fn cut(what: &str, shown: usize, total: u64) -> Option<String> {
    (total > shown as u64).then(|| format!("showing {shown} of {total} {what}; --limit N shows more, up to {MOST}"))
}
