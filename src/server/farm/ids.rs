//! Source of new ids of workers, jobs and tasks: those of one server ascend, and those of two servers differ.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::domain::model::Timestamp;
use crate::wire::flamenco::ObjectId;

/// Source of ids, with a random part of its own.
#[derive(Debug)]
pub struct ObjectIds {
    random: [u8; 5],
    counter: AtomicU32,
}

impl ObjectIds {
    /// Makes a source.
    ///
    /// # Errors
    /// If `/dev/urandom` cannot be read.
    pub fn new() -> io::Result<Self> {
        let mut random = [0; 5];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        Ok(Self { random, counter: AtomicU32::new(0) })
    }

    /// Makes an id that is higher than all before it.
    #[must_use]
    pub fn mint(&self, now: Timestamp) -> ObjectId {
        // Ids of one second ascend unless more than 16 million are made in it.
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) % ObjectId::COUNTERS;
        // The format has 32 bits for the seconds, which last until 2106.
        ObjectId::new(u32::try_from(now.timestamp()).unwrap_or(u32::MAX), self.random, counter)
    }
}
