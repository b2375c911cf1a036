//! Who is connected, how each stands, and who leaves when places or memory run out. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// A peer that was heard of within this is not put out for the sake of others from its own address: a thousand workers
/// that come back at once, through one proxy, are no abuse.
const GRACE: Duration = Duration::from_secs(1);

/// What peers may take.
#[derive(Clone, Copy, Debug)]
pub struct PeerLimits {
    /// How many connections there may be.
    pub connections: usize,
    /// How many of one address may be without having shown who they are.
    pub strangers_of_address: usize,
    /// How many bytes of requests may be in memory that are not answered yet.
    pub bytes: usize,
    /// How long the head of a request may take, how long a body may stand still, and how long a stranger may take to
    /// read its answer.
    pub request_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
}

/// The number of a connection.
pub type Number = u64;

/// Where a connection comes from: an IPv4 address, or the network of an IPv6 address, all of which is one site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(u128);

impl Source {
    /// The source of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionPhase {
    /// The head of a request is read, since then.
    Head(Instant),
    /// Nothing was asked since then.
    Idle(Instant),
    /// The body of a request is read.
    Body,
    /// A complete request is answered.
    Answering,
    /// A WebSocket whose messages are too short to be counted.
    Listening,
    /// A WebSocket whose messages count until they are complete.
    Talking,
}

/// Whether somebody has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerStanding {
    /// No.
    Stranger,
    /// An operator, a browser that has logged in, or a worker that signed.
    Known,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    source: Source,
    phase: ConnectionPhase,
    standing: PeerStanding,
    /// When it was heard of last.
    active: Instant,
    /// How many bytes it holds of what is not complete, or not answered yet, and since when.
    held: usize,
    held_since: Instant,
    /// Since when it does not take what it is sent.
    stalled: Option<Instant>,
}

/// What becomes of who has just connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It has a place; somebody else may have to leave for it.
    Admitted(Number, Option<Number>),
    /// There is no place, and nobody who could be asked to leave.
    Refused,
}

/// Whether there is room for more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteBudget {
    /// There is.
    Free,
    /// When this one has left. It has left the table already.
    After(Number),
    /// Who asks holds most, and has left the table.
    Leave,
    /// When something is answered, or who has to leave is gone.
    Later,
}

/// Who is connected.
#[derive(Debug)]
pub struct PeerTable {
    limits: PeerLimits,
    entries: HashMap<Number, Entry>,
    last: Number,
    /// The bytes that entries hold, and those of messages that are being answered.
    bytes: usize,
    /// What those hold who have to leave, until they are gone.
    leaving: HashMap<Number, usize>,
}

impl PeerTable {
    /// Nobody.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        Self { limits, entries: HashMap::new(), last: 0, bytes: 0, leaving: HashMap::new() }
    }

    /// What peers may take.
    pub fn limits(&self) -> &PeerLimits {
        &self.limits
    }

    /// Somebody connects.
    pub fn arrive(&mut self, source: Source, now: Instant) -> Arrival {
        let strangers = self.strangers().filter(|(_, entry)| entry.source == source).count();
        let mut leaves = None;
        if strangers >= self.limits.strangers_of_address {
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

    /// Who can be spared when there is no place or no descriptor left: the stranger that has been silent longest, of the
    /// address with most of them; or a known peer that asks nothing.
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

    /// Those who have not shown who they are, and need not.
    fn strangers(&self) -> impl Iterator<Item = (Number, &Entry)> {
        let is_stranger = |entry: &Entry| {
            entry.standing == PeerStanding::Stranger
                && !matches!(entry.phase, ConnectionPhase::Listening | ConnectionPhase::Talking)
        };
        self.entries.iter().filter(move |(_, entry)| is_stranger(entry)).map(|(number, entry)| (*number, entry))
    }

    /// Somebody leaves, or has to. What it holds counts until it is gone.
    pub fn leave(&mut self, number: Number) {
        if let Some(entry) = self.entries.remove(&number)
            && entry.held > 0
        {
            self.leaving.insert(number, entry.held);
        }
    }

    /// Somebody is gone, with everything that it held.
    pub fn gone(&mut self, number: Number) {
        self.leave(number);
        if let Some(held) = self.leaving.remove(&number) {
            self.give_back(held);
        }
    }

    /// Whether a peer may read more.
    pub fn room(&mut self, number: Number, now: Instant) -> ByteBudget {
        let Some(entry) = self.entries.get(&number) else { return ByteBudget::Leave };
        if entry.phase == ConnectionPhase::Listening || self.bytes < self.limits.bytes {
            return ByteBudget::Free;
        }
        if self.bytes - self.leaving.values().sum::<usize>().min(self.bytes) < self.limits.bytes {
            return ByteBudget::Later;
        }
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

    /// A peer has sent so many bytes.
    pub fn hold(&mut self, number: Number, bytes: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.active = now;
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

    /// A message is complete: its bytes count until they are given back.
    pub fn take(&mut self, number: Number) -> usize {
        self.entries.get_mut(&number).map_or(0, |entry| std::mem::take(&mut entry.held))
    }

    /// A message was answered.
    pub fn give_back(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A peer is at something else.
    pub fn turn(&mut self, number: Number, phase: ConnectionPhase, now: Instant) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        (entry.phase, entry.active) = (phase, now);
        if matches!(phase, ConnectionPhase::Idle(_) | ConnectionPhase::Listening | ConnectionPhase::Talking) {
            let held = std::mem::take(&mut entry.held);
            self.give_back(held);
        }
    }

    /// What a peer has sent is read to its end.
    pub fn read_whole(&mut self, number: Number) {
        if let Some(entry) = self.entries.get_mut(&number)
            && entry.phase == ConnectionPhase::Body
        {
            entry.phase = ConnectionPhase::Answering;
        }
    }

    /// A peer has shown who it is.
    pub fn know(&mut self, number: Number) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.standing = PeerStanding::Known;
        }
    }

    /// Whether a peer takes what it is sent.
    pub fn stall(&mut self, number: Number, since: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.stalled = since;
        }
    }

    /// Whether nothing would be lost if a peer left now: it has not asked anything, or not to the end of the head.
    pub fn is_quiet(&self, number: Number) -> bool {
        let entry = self.entries.get(&number);
        entry.is_none_or(|entry| matches!(entry.phase, ConnectionPhase::Head(_) | ConnectionPhase::Idle(_)))
    }

    /// When a peer has had enough time for what it is at.
    pub fn deadline(&self, number: Number) -> Option<Instant> {
        let entry = self.entries.get(&number)?;
        match (entry.phase, entry.standing, entry.stalled) {
            (ConnectionPhase::Head(since), ..) => Some(since + self.limits.request_timeout),
            (ConnectionPhase::Idle(since), ..) => Some(since + self.limits.idle_timeout),
            // Whoever is known may read a log as slowly as a pager does.
            (ConnectionPhase::Body | ConnectionPhase::Answering, PeerStanding::Stranger, Some(since)) => {
                Some(since + self.limits.request_timeout)
            }
            _ => None,
        }
    }
}
