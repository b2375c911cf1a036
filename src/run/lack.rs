//! What a worker has too little of to take new runs, though it is awake.

use std::borrow::Cow;
use std::fmt;

/// One thing of which there is too little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// So many results wait to be taken by the server.
    Backlog(u64),
    /// The outbox cannot be written: why.
    Outbox(String),
    /// Something that was claimed could not be launched, for want of memory, processes or files: why.
    Launch(String),
    /// Bytes on the disk of the directory that a key names, and how many are free.
    Bytes(Cow<'static, str>, u64),
    /// Files there, and how many more can be made.
    Files(Cow<'static, str>, u64),
    /// Descriptors, and how many more can be opened.
    Descriptors(u64),
    /// Something that a later worker knows of and we do not.
    Unknown,
}

impl Lack {
    /// What is lacking and where, apart from how much of it: a lack that grows is the same one.
    #[must_use]
    pub fn kind(&self) -> LackKind<'_> {
        let at = match self {
            Self::Bytes(key, _) | Self::Files(key, _) => key,
            _ => "",
        };
        LackKind(std::mem::discriminant(self), at)
    }
}

/// What is lacking and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LackKind<'a>(std::mem::Discriminant<Lack>, &'a str);

/// Whether the same things are lacking, be it more or less of each.
#[must_use]
pub fn are_alike(some: &[Lack], others: &[Lack]) -> bool {
    some.iter().map(Lack::kind).eq(others.iter().map(Lack::kind))
}

/// All of them, as the end of a sentence.
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
