//! Ways in which the REST API misbehaves on request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::record::Call;

type Matcher = dyn Fn(&Call) -> bool + Send + Sync;
type Weather = dyn Fn(&Call) -> Option<What> + Send + Sync;
type Editor = dyn Fn(&mut Value) + Send + Sync;

/// What happens to a request that a fault catches. *Applied* means that the server's rows change as
/// if nothing were wrong.
#[derive(Clone)]
pub enum What {
    /// This answer; not applied.
    Status(u16, Vec<(String, String)>, Vec<u8>),
    /// Applied, then this answer.
    StatusAfterCommit(u16, Vec<(String, String)>, Vec<u8>),
    /// Served after this time.
    Delay(Duration),
    /// Applied at once, answered after this time.
    DelayAfterCommit(Duration),
    /// Never answered; not applied.
    HangForever,
    /// Applied, never answered.
    HangAfterCommit,
    /// The TCP connection is reset; not applied.
    ResetBefore,
    /// Applied, then the TCP connection is reset.
    ResetAfterCommit,
    /// 200 with these bytes and this content type; not applied.
    Garbage(Vec<u8>, String),
    /// Applied; the body of the answer dribbles, so many bytes at a time with this pause.
    SlowBody(usize, Duration),
    /// This status (301, 302, 307, 308) with this `Location`; not applied.
    Redirect(u16, String),
    /// Applied; the connection ends in the middle of the answer's body (is reset if there is none).
    Truncate,
    /// Applied; the answer carries these headers too, in place of any of the same name.
    Headers(Vec<(String, String)>),
    /// Applied; the JSON of the answer is changed by this.
    Edit(Arc<Editor>),
}

impl What {
    /// Bare status without headers or body; not applied.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), Vec::new())
    }

    /// Applied, and answered with this bare status nevertheless.
    pub fn status_after_commit(status: u16) -> Self {
        Self::StatusAfterCommit(status, Vec::new(), Vec::new())
    }

    /// A status with one header; not applied.
    pub fn status_with(status: u16, name: &str, value: &str) -> Self {
        Self::Status(status, vec![(name.to_owned(), value.to_owned())], Vec::new())
    }

    /// Bytes that are no JSON, as a web page.
    pub fn html() -> Self {
        Self::Garbage(b"<html><body>Please log in</body></html>".to_vec(), "text/html".to_owned())
    }

    /// Changes the JSON of the answer.
    pub fn edit(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(edit))
    }
}

/// Which requests misbehave, and how. Faults are asked in the order in which they were injected; the
/// first that catches a request has it.
#[derive(Clone)]
pub struct Fault {
    matcher: Arc<Matcher>,
    skip: usize,
    times: Option<usize>,
    what: What,
}

impl Fault {
    /// Each request of this method (`*`: any) whose path starts with this.
    pub fn on(method: &str, path_prefix: &str, what: What) -> Self {
        let (method, prefix) = (method.to_owned(), path_prefix.to_owned());
        Self::when(move |call| (method == "*" || call.method == method) && call.path.starts_with(&prefix), what)
    }

    /// Each request for which this holds. It sees the call as recorded, without an answer.
    pub fn when(matcher: impl Fn(&Call) -> bool + Send + Sync + 'static, what: What) -> Self {
        Self { matcher: Arc::new(matcher), skip: 0, times: None, what }
    }

    /// Narrows to those for which this holds too.
    pub fn and(mut self, further: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        let matcher = self.matcher;
        self.matcher = Arc::new(move |call| matcher(call) && further(call));
        self
    }

    /// Narrows to bodies that set this field to something else than null.
    pub fn setting(self, field: &'static str) -> Self {
        self.and(move |call| call.sets(field))
    }

    /// Lets so many matching requests pass first.
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    /// Only the nth matching request, from 1.
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n - 1;
        self.times = Some(1);
        self
    }

    /// At most so many requests.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    pub fn once(self) -> Self {
        self.times(1)
    }
}

struct Injected {
    fault: Fault,
    handle: FaultHandle,
}

#[derive(Default)]
struct Progress {
    matched: AtomicUsize,
    hits: AtomicUsize,
    lifted: AtomicBool,
}

/// An injected fault. Dropping the handle lifts nothing.
#[derive(Clone, Default)]
pub struct FaultHandle(Arc<Progress>);

impl FaultHandle {
    /// How many requests it has caught.
    pub fn hits(&self) -> usize {
        self.0.hits.load(Ordering::SeqCst)
    }

    /// It catches nothing more. What it holds back already stays held back.
    pub fn lift(&self) {
        self.0.lifted.store(true, Ordering::SeqCst);
    }
}

/// The faults in force.
#[derive(Default)]
pub struct Faults {
    injected: Mutex<Vec<Injected>>,
    weather: Mutex<Option<Arc<Weather>>>,
}

impl Faults {
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        let handle = FaultHandle::default();
        self.injected.lock().unwrap().push(Injected { fault, handle: handle.clone() });
        handle
    }

    pub fn clear(&self) {
        self.injected.lock().unwrap().clear();
    }

    /// Asks this for each request that no injected fault has caught.
    pub fn set_weather(&self, weather: impl Fn(&Call) -> Option<What> + Send + Sync + 'static) {
        *self.weather.lock().unwrap() = Some(Arc::new(weather));
    }

    /// What shall happen to this call, if anything unusual.
    pub fn catch(&self, call: &Call) -> Option<What> {
        let caught = self.injected.lock().unwrap().iter().find_map(|injected| injected.catch(call));
        // Asked without the lock: it may look at much.
        let weather = self.weather.lock().unwrap().clone();
        caught.or_else(|| weather.and_then(|weather| weather(call)))
    }
}

impl Injected {
    fn catch(&self, call: &Call) -> Option<What> {
        let progress = &self.handle.0;
        if progress.lifted.load(Ordering::SeqCst) || !(self.fault.matcher)(call) {
            return None;
        }
        let before = progress.matched.fetch_add(1, Ordering::SeqCst);
        let spent = self.fault.times.is_some_and(|times| before >= self.fault.skip + times);
        if before < self.fault.skip || spent {
            return None;
        }
        progress.hits.fetch_add(1, Ordering::SeqCst);
        Some(self.fault.what.clone())
    }
}
