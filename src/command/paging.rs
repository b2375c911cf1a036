//! Paging: reads a list from the server page by page, up to a limit.

use super::client::OperatorClient;
use super::exit::{CommandFailure, say};
use crate::wire::operator::{JobList, RunList, WorkerList};

#[cfg(test)]
mod tests;

/// Maximum number of items of a list; a longer one would fill the memory and be of no use to people.
pub const MOST: u32 = 100_000;
/// Items that are requested at once; the server may return fewer.
const AT_ONCE: u32 = 1000;

/// Page of a list of the operator's API.
pub trait Page: serde::de::DeserializeOwned {
    /// Name of the list, in the path and in messages.
    const WHAT: &'static str;

    /// Returns the number of items on the page.
    fn length(&self) -> usize;
    /// Returns the number of items in all, if the server counted them.
    fn total(&self) -> Option<u64>;
    /// Takes the cursor of the next page; `None` on the last one.
    fn next(&mut self) -> Option<String>;
    /// Appends the items of the next page, and takes over its cursor.
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

/// Reads a list up to a limit, and reports on stderr if there is more.
///
/// # Errors
/// If the server cannot be reached or refuses the request.
pub async fn read<P: Page>(client: &OperatorClient, query: &[(&str, &str)], limit: u32) -> Result<P, CommandFailure> {
    let limit = limit.min(MOST);
    let mut list: Option<P> = None;
    loop {
        let (shown, after) = list.as_mut().map_or((0, None), |list| (list.length(), list.next()));
        // Never more than is still wanted, so that the last page ends exactly at the limit.
        let left = limit.saturating_sub(u32::try_from(shown).unwrap_or(u32::MAX)).min(AT_ONCE);
        match list {
            // An answer without items and with a cursor would otherwise be requested for ever.
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

/// Returns the message about a list that is longer than what is shown.
fn cut(what: &str, shown: usize, total: u64) -> Option<String> {
    (total > shown as u64).then(|| format!("showing {shown} of {total} {what}; --limit N shows more, up to {MOST}"))
}
