//! Timestamps: points on the wall clock, as against durations of the monotonic one.

use chrono::{DateTime, Utc};

/// Point in time on the wall clock, in UTC. Durations are measured with the monotonic `Instant` instead.
pub type Timestamp = DateTime<Utc>;
