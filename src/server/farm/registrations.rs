//! Registrations per address: a program that registers again and again does not fill the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Most registrations of one address within [`WITHIN`].
const OF_ADDRESS: u32 = 10;
/// Time over which registrations are counted.
const WITHIN: Duration = Duration::from_secs(60);
/// Most addresses that are counted at once; while there are as many, further ones are refused.
const ADDRESSES: usize = 4096;

/// Registrations by address. Those from the machine of the server itself are not counted.
#[derive(Debug, Default)]
pub struct Registrations(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Registrations {
    /// Counts a registration at an instant; returns whether it is allowed.
    pub fn admit(&self, address: IpAddr, now: Instant) -> bool {
        if address.is_loopback() {
            return true;
        }
        // Each change of the table is complete in itself, so a panic elsewhere leaves it usable.
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Tidied up only when it is full: a table of this size is small.
        if table.len() >= ADDRESSES {
            table.retain(|_, (began, _)| now.duration_since(*began) < WITHIN);
        }
        if table.len() >= ADDRESSES && !table.contains_key(&address) {
            return false;
        }
        let (began, count) = table.entry(address).or_insert((now, 0));
        if now.duration_since(*began) >= WITHIN {
            (*began, *count) = (now, 0);
        }
        *count += 1;
        *count <= OF_ADDRESS
    }
}
