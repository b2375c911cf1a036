//! Lacks: the reasons why an awake worker takes no new runs.

use std::borrow::Cow;
use std::fmt;

/// One resource of which the worker has too little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// So many results still wait to be taken by the server.
    Backlog(u64),
    /// The outbox cannot be written, for this reason.
    Outbox(String),
    /// A claimed run could not be launched for want of memory, processes or file descriptors, for this reason.
    Launch(String),
    /// Disk space in the directory that this setting names, with the bytes that are free.
    Bytes(Cow<'static, str>, u64),
    /// Inodes on the disk of the directory that this setting names, with the number of files that can still be made.
    Files(Cow<'static, str>, u64),
    /// File descriptors, with the number of files that can still be opened.
    Descriptors(u64),
    /// Reported by a later version of the worker and unknown to this one.
    Unknown,
}

impl Lack {
    /// Returns the kind and place of a lack without its amount: a lack that grows stays the same lack.
    #[must_use]
    pub fn kind(&self) -> LackKind<'_> {
        let at = match self {
            Self::Bytes(key, _) | Self::Files(key, _) => key,
            _ => "",
        };
        LackKind(std::mem::discriminant(self), at)
    }
}

/// Kind and place of a lack, without its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LackKind<'a>(std::mem::Discriminant<Lack>, &'a str);

/// Returns whether both lists name the same kinds of lack in the same order, whatever the amounts.
#[must_use]
pub fn are_alike(some: &[Lack], others: &[Lack]) -> bool {
    some.iter().map(Lack::kind).eq(others.iter().map(Lack::kind))
}

/// Joins all lacks with `; `, as the end of a sentence.
#[must_use]
pub fn in_words(lacks: &[Lack]) -> String {
    lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backlog(waiting) => write!(f, "{waiting} results wait to be taken by the server"),
            Self::Outbox(why) | Self::Launch(why) => write!(f, "{why}"),
            Self::Bytes(key, left) => write!(f, "{left} bytes are free where {key} is"),
            Self::Files(key, left) => write!(f, "{left} more files can be made where {key} is"),
            Self::Descriptors(left) => write!(f, "{left} more files can be opened"),
            Self::Unknown => write!(f, "something is lacking that this server does not know of"),
        }
    }
}
