//! Table of connections: the phase of each, and which one leaves when places or memory run out. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Within this time after its last sign of life, a peer is not dismissed for another one from its own address: a
/// thousand workers that come back at once, through one proxy, are no abuse.
const GRACE: Duration = Duration::from_secs(1);

/// Limits on what peers may take.
#[derive(Clone, Copy, Debug)]
pub struct PeerLimits {
    /// Connections of all sources together.
    pub connections: usize,
    /// Connections of one source that have not authenticated.
    pub strangers_of_address: usize,
    /// Bytes of requests in memory that are not answered yet, of all peers together.
    pub bytes: usize,
    /// Longest time for the head of a request, for a body beyond what its pace needs, and for a stranger
    /// to read its response.
    pub request_timeout: Duration,
    /// Longest time that a connection may be idle between two requests.
    pub idle_timeout: Duration,
}

/// Number of a connection, counted from 1 and never used again.
pub type Number = u64;

/// Origin of a connection for counting: an IPv4 address, or the /64 network of an IPv6 address, all of which belongs to
/// one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(u128);

impl Source {
    /// Source of an address. An IPv4 address in IPv6 notation counts as the IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

/// Phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionPhase {
    /// The head of a request is being read, since this instant.
    Head(Instant),
    /// No request has been made since this instant.
    Idle(Instant),
    /// The body of a request is being read.
    Body,
    /// A complete request is being answered.
    Answering,
    /// WebSocket whose messages are too short to be counted.
    Listening,
    /// WebSocket whose messages count until they are complete.
    Talking,
}

/// Whether a peer has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerStanding {
    /// Not, or not yet.
    Stranger,
    /// Operator, logged-in browser, or worker with a valid signature.
    Known,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    source: Source,
    phase: ConnectionPhase,
    standing: PeerStanding,
    /// Instant of the last sign of life.
    active: Instant,
    /// Bytes of requests that are incomplete or not answered yet, and the instant since which any are held.
    held: usize,
    held_since: Instant,
    /// Instant since which the peer does not take what it is sent.
    stalled: Option<Instant>,
}

/// Decision about a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The connection has a place under this number; another one, if given, has to leave for it.
    Admitted(Number, Option<Number>),
    /// No place is free, and no connection can be asked to leave.
    Refused,
}

/// Decision whether a connection may read more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteBudget {
    /// The connection may read at once.
    Free,
    /// The connection may read once this other one, which has left the table already, is gone.
    After(Number),
    /// The asking connection itself holds most, and has left the table.
    Leave,
    /// The connection may read once something is answered or a dismissed connection is gone.
    Later,
}

/// Connections by number, with the bytes that they hold.
#[derive(Debug)]
pub struct PeerTable {
    limits: PeerLimits,
    entries: HashMap<Number, Entry>,
    last: Number,
    /// Bytes held by entries, by dismissed connections, and by messages that are being answered.
    bytes: usize,
    /// Bytes held by dismissed connections until those are gone.
    leaving: HashMap<Number, usize>,
}

impl PeerTable {
    /// Empty table with these limits.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        Self { limits, entries: HashMap::new(), last: 0, bytes: 0, leaving: HashMap::new() }
    }

    /// Limits that this table enforces.
    pub fn limits(&self) -> &PeerLimits {
        &self.limits
    }

    /// Enters a new connection, and decides which other one has to leave for it. An address with too many strangers
    /// loses its own longest silent one; a full table loses a dispensable one.
    pub fn arrive(&mut self, source: Source, now: Instant) -> Arrival {
        let strangers = self.strangers().filter(|(_, entry)| entry.source == source).count();
        let mut leaves = None;
        if strangers >= self.limits.strangers_of_address {
            // While all of them are within `GRACE`, none leaves and the new one is admitted beyond this limit.
            let silent = |entry: &Entry| entry.source == source && now.duration_since(entry.active) >= GRACE;
            leaves = self.longest_silent(silent);
        }
        if leaves.is_none() && self.entries.len() >= self.limits.connections {
            leaves = self.dispensable();
            if leaves.is_none() {
                return Arrival::Refused;
            }
        }
        if let Some(leaves) = leaves {
            self.leave(leaves);
        }
        self.last += 1;
        let entry = Entry {
            source,
            phase: ConnectionPhase::Head(now),
            standing: PeerStanding::Stranger,
            active: now,
            held: 0,
            held_since: now,
            stalled: None,
        };
        self.entries.insert(self.last, entry);
        Arrival::Admitted(self.last, leaves)
    }

    /// Connection that can be spared when no place or no descriptor is left: of the source with most strangers, the one
    /// that has been silent longest; without strangers, a known peer that is idle.
    pub fn dispensable(&self) -> Option<Number> {
        let mut of = HashMap::<Source, usize>::new();
        self.strangers().for_each(|(_, entry)| *of.entry(entry.source).or_default() += 1);
        let most = of.values().copied().max().unwrap_or(0);
        self.longest_silent(|entry| of.get(&entry.source) == Some(&most)).or_else(|| {
            let idle = self.entries.iter().filter(|(_, entry)| matches!(entry.phase, ConnectionPhase::Idle(_)));
            idle.min_by_key(|(number, entry)| (entry.active, **number)).map(|(number, _)| *number)
        })
    }

    fn longest_silent(&self, fits: impl Fn(&Entry) -> bool) -> Option<Number> {
        let fitting = self.strangers().filter(|(_, entry)| fits(entry));
        fitting.min_by_key(|(number, entry)| (entry.active, *number)).map(|(number, _)| number)
    }

    /// Connections that have not authenticated. WebSockets are not among them: the number of listeners bounds those
    /// that need no authentication.
    fn strangers(&self) -> impl Iterator<Item = (Number, &Entry)> {
        let is_stranger = |entry: &Entry| {
            entry.standing == PeerStanding::Stranger
                && !matches!(entry.phase, ConnectionPhase::Listening | ConnectionPhase::Talking)
        };
        self.entries.iter().filter(move |(_, entry)| is_stranger(entry)).map(|(number, entry)| (*number, entry))
    }

    /// Removes a connection that ends or has to. The bytes that it holds count until [`gone`](Self::gone).
    pub fn leave(&mut self, number: Number) {
        if let Some(entry) = self.entries.remove(&number)
            && entry.held > 0
        {
            self.leaving.insert(number, entry.held);
        }
    }

    /// Removes a connection that is closed, with all bytes that it held.
    pub fn gone(&mut self, number: Number) {
        self.leave(number);
        if let Some(held) = self.leaving.remove(&number) {
            self.give_back(held);
        }
    }

    /// Decides whether a connection may read more bytes.
    pub fn room(&mut self, number: Number, now: Instant) -> ByteBudget {
        let Some(entry) = self.entries.get(&number) else { return ByteBudget::Leave };
        if entry.phase == ConnectionPhase::Listening || self.bytes < self.limits.bytes {
            return ByteBudget::Free;
        }
        // Once those that were dismissed are gone, there is room: no other connection has to leave.
        if self.bytes - self.leaving.values().sum::<usize>().min(self.bytes) < self.limits.bytes {
            return ByteBudget::Later;
        }
        // Requests that are being answered give their bytes back by themselves. Bytes times age finds the hoarder;
        // `max(1)` lets bytes decide among those that have just begun.
        let unfinished = |entry: &Entry| !matches!(entry.phase, ConnectionPhase::Answering) && entry.held > 0;
        let cost = |entry: &Entry| entry.held as u128 * now.duration_since(entry.held_since).as_micros().max(1);
        let holders = self.entries.iter().filter(|(_, entry)| unfinished(entry));
        match holders.max_by_key(|(number, entry)| (cost(entry), **number)).map(|(number, _)| *number) {
            None => ByteBudget::Later,
            Some(most) => {
                self.leave(most);
                if most == number { ByteBudget::Leave } else { ByteBudget::After(most) }
            }
        }
    }

    /// Counts bytes that a connection has sent. The first ones after an idle time begin the head of the next request.
    pub fn hold(&mut self, number: Number, bytes: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.active = now;
        // The time of a head counts from its first byte: a byte now and then must not extend it.
        if let ConnectionPhase::Idle(_) = entry.phase {
            entry.phase = ConnectionPhase::Head(now);
        }
        if entry.phase != ConnectionPhase::Listening {
            if entry.held == 0 {
                entry.held_since = now;
            }
            entry.held += bytes;
            self.bytes += bytes;
        }
    }

    /// Takes the bytes of a complete message out of an entry. They count until [`give_back`](Self::give_back).
    pub fn take(&mut self, number: Number) -> usize {
        self.entries.get_mut(&number).map_or(0, |entry| std::mem::take(&mut entry.held))
    }

    /// Gives back the bytes of an answered message.
    pub fn give_back(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Moves a connection into another phase. Phases in which nothing is held free its bytes.
    pub fn turn(&mut self, number: Number, phase: ConnectionPhase, now: Instant) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        (entry.phase, entry.active) = (phase, now);
        // A finished response gives back what its request held; the bytes of the upgrade itself are not a message.
        if matches!(phase, ConnectionPhase::Idle(_) | ConnectionPhase::Listening | ConnectionPhase::Talking) {
            let held = std::mem::take(&mut entry.held);
            self.give_back(held);
        }
    }

    /// Notes that the body of a request has arrived completely.
    pub fn read_whole(&mut self, number: Number) {
        if let Some(entry) = self.entries.get_mut(&number)
            && entry.phase == ConnectionPhase::Body
        {
            entry.phase = ConnectionPhase::Answering;
        }
    }

    /// Marks a peer as authenticated.
    pub fn know(&mut self, number: Number) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.standing = PeerStanding::Known;
        }
    }

    /// Notes since when a peer does not take what it is sent; `None` once it does.
    pub fn stall(&mut self, number: Number, since: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.stalled = since;
        }
    }

    /// Whether no work would be lost if a connection ended now: no request has arrived, or only part of a head.
    pub fn is_quiet(&self, number: Number) -> bool {
        let entry = self.entries.get(&number);
        entry.is_none_or(|entry| matches!(entry.phase, ConnectionPhase::Head(_) | ConnectionPhase::Idle(_)))
    }

    /// Instant at which a connection has used up the time of its phase; `None` where the phase has no limit.
    pub fn deadline(&self, number: Number) -> Option<Instant> {
        let entry = self.entries.get(&number)?;
        match (entry.phase, entry.standing, entry.stalled) {
            (ConnectionPhase::Head(since), ..) => Some(since + self.limits.request_timeout),
            (ConnectionPhase::Idle(since), ..) => Some(since + self.limits.idle_timeout),
            // A known peer may read a log as slowly as a pager does.
            (ConnectionPhase::Body | ConnectionPhase::Answering, PeerStanding::Stranger, Some(since)) => {
                Some(since + self.limits.request_timeout)
            }
            _ => None,
        }
    }
}
