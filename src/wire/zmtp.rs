//! ZMTP, the protocol beneath ZeroMQ, as far as a bound PUB or SUB socket needs it: versions 3.x and 2.0, the mechanism NULL.
//!
//! Version 3 by <https://rfc.zeromq.org/spec/23/>, version 2 by <https://rfc.zeromq.org/spec/15/>: libzmq 3.2 and later. What libzmq 2
//! spoke, in which a publisher is not told who subscribes, is refused.

#[cfg(test)]
mod tests;

/// What both sides begin with, and the version that we speak at most: 3.0, in which a subscription is a message.
pub const GREETING: [u8; 11] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3];
/// How long the rest of the greeting of version 3 is, in bytes.
pub const REST: usize = 53;
/// A frame that others of its message follow.
const MORE: u8 = 1;
/// A frame whose length has eight bytes.
const LONG: u8 = 2;
/// A frame that is a command.
const COMMAND: u8 = 4;

/// What a socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketRole {
    /// Sends to whoever has subscribed.
    Publisher,
    /// Receives what it has subscribed to.
    Subscriber,
}

impl SocketRole {
    fn name(self) -> &'static str {
        match self {
            Self::Publisher => "PUB",
            Self::Subscriber => "SUB",
        }
    }

    /// The byte for it in version 2.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Publisher => 1,
            Self::Subscriber => 2,
        }
    }

    /// Whether a peer is of the other kind, by its byte in version 2: SUB or XSUB for a publisher, PUB or XPUB for a subscriber.
    #[must_use]
    pub fn fits_number(self, peer: u8) -> bool {
        match self {
            Self::Publisher => [2, 10].contains(&peer),
            Self::Subscriber => [1, 9].contains(&peer),
        }
    }

    fn fits_name(self, peer: &[u8]) -> bool {
        match self {
            Self::Publisher => [&b"SUB"[..], b"XSUB"].contains(&peer),
            Self::Subscriber => [&b"PUB"[..], b"XPUB"].contains(&peer),
        }
    }
}

/// Which version a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZmtpVersion {
    /// 2.0: after the greeting come a socket type and an identity.
    Two,
    /// 3.x: after the greeting comes a handshake of commands.
    Three,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// It does not begin as version 2 or 3 does.
    #[error("no ZMTP of version 2 or 3")]
    Greeting,
    /// Another mechanism than NULL.
    #[error("a security mechanism other than NULL")]
    Mechanism,
    /// A socket of the same kind, or one that has no business here.
    #[error("a socket of the wrong type")]
    SocketType,
    /// A frame that cannot be.
    #[error("a malformed frame")]
    Malformed,
    /// A frame is longer than is read.
    #[error("a frame of more than {0} bytes")]
    TooLong(usize),
    /// A message has more frames than are read.
    #[error("a message of more than {0} frames")]
    TooManyFrames(usize),
    /// More subscriptions than a connection may have.
    #[error("more than {0} subscriptions")]
    TooManySubscriptions(usize),
    /// More frames than make sense.
    #[error("more than {0} frames a minute")]
    TooMany(u32),
}

/// A frame, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZmtpFrame {
    /// Whether others of its message follow.
    pub more: bool,
    /// Whether it is a command.
    pub is_command: bool,
    /// What it carries.
    pub body: Vec<u8>,
}

/// Reads the version off the peer's first eleven bytes.
///
/// # Errors
/// That it speaks another protocol.
pub fn version(greeting: [u8; 11]) -> Result<ZmtpVersion, ZmtpError> {
    match greeting {
        [0xff, .., odd, 1 | 2] if odd & 1 == 1 => Ok(ZmtpVersion::Two),
        [0xff, .., odd, 3..=u8::MAX] if odd & 1 == 1 => Ok(ZmtpVersion::Three),
        _ => Err(ZmtpError::Greeting),
    }
}

/// The rest of our greeting in version 3: minor version, mechanism, and that it is the same on both sides.
#[must_use]
pub fn rest() -> [u8; REST] {
    let mut rest = [0; REST];
    rest[1..5].copy_from_slice(b"NULL");
    rest
}

/// Checks the rest of the peer's.
///
/// # Errors
/// That it wants another mechanism.
pub fn check_rest(rest: &[u8; REST]) -> Result<(), ZmtpError> {
    if rest[1..5] == *b"NULL" && rest[5..21].iter().all(|byte| *byte == 0) { Ok(()) } else { Err(ZmtpError::Mechanism) }
}

/// The command that ends our part of the handshake.
#[must_use]
pub fn ready(role: SocketRole) -> Vec<u8> {
    let name = role.name().as_bytes();
    let mut body = b"\x05READY\x0bSocket-Type".to_vec();
    body.extend(u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
    body.extend(name);
    encode(COMMAND, &body)
}

/// Checks the command that ends the peer's.
///
/// # Errors
/// That it is none, or of a socket that does not fit.
pub fn check_ready(frame: &ZmtpFrame, role: SocketRole) -> Result<(), ZmtpError> {
    let properties = frame.body.strip_prefix(b"\x05READY").filter(|_| frame.is_command);
    let mut rest = properties.ok_or(ZmtpError::Malformed)?;
    while let Some((name, value, further)) = property(rest) {
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return if role.fits_name(value) { Ok(()) } else { Err(ZmtpError::SocketType) };
        }
        rest = further;
    }
    Err(ZmtpError::SocketType)
}

/// The first property of a handshake: its name, its value, and what follows.
fn property(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((name, value, rest))
}

/// What a peer of a publisher says in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerCommand<'a> {
    /// It wants what begins with this.
    Subscribe(&'a [u8]),
    /// It does not any more.
    Cancel(&'a [u8]),
    /// It wants to know whether we are there: what is to be said back.
    Ping(&'a [u8]),
    /// Nothing that matters.
    Nothing,
}

/// Reads what a frame says.
#[must_use]
pub fn said(frame: &ZmtpFrame) -> PeerCommand<'_> {
    let body = frame.body.as_slice();
    if !frame.is_command {
        return match body.split_first() {
            Some((1, topic)) => PeerCommand::Subscribe(topic),
            Some((0, topic)) => PeerCommand::Cancel(topic),
            _ => PeerCommand::Nothing,
        };
    }
    if let Some(topic) = body.strip_prefix(b"\x09SUBSCRIBE") {
        PeerCommand::Subscribe(topic)
    } else if let Some(topic) = body.strip_prefix(b"\x06CANCEL") {
        PeerCommand::Cancel(topic)
    } else if let Some(context) = body.strip_prefix(b"\x04PING").and_then(|rest| rest.get(2..)) {
        PeerCommand::Ping(context)
    } else {
        PeerCommand::Nothing
    }
}

/// The answer to a ping.
#[must_use]
pub fn pong(context: &[u8]) -> Vec<u8> {
    encode(COMMAND, &[b"\x04PONG", context].concat())
}

/// A subscription to what begins with this, as a message.
#[must_use]
pub fn subscription(topic: &[u8]) -> Vec<u8> {
    encode(0, &[b"\x01", topic].concat())
}

/// A message of these frames.
#[must_use]
pub fn message(frames: &[&[u8]]) -> Vec<u8> {
    let last = frames.len().saturating_sub(1);
    frames.iter().enumerate().flat_map(|(nth, body)| encode(if nth < last { MORE } else { 0 }, body)).collect()
}

fn encode(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 9);
    match u8::try_from(body.len()) {
        Ok(length) => frame.extend([flags, length]),
        Err(_) => {
            frame.push(flags | LONG);
            frame.extend((body.len() as u64).to_be_bytes());
        }
    }
    frame.extend(body);
    frame
}

/// Takes a frame off the beginning of a buffer; nothing where it is not there yet as a whole.
///
/// # Errors
/// That it is malformed or longer than is read, as soon as its first bytes are there.
pub fn take(buffer: &mut Vec<u8>, longest: usize) -> Result<Option<ZmtpFrame>, ZmtpError> {
    let Some((&flags, rest)) = buffer.split_first() else { return Ok(None) };
    if flags > (MORE | LONG | COMMAND) || flags & (MORE | COMMAND) == MORE | COMMAND {
        return Err(ZmtpError::Malformed);
    }
    let (head, length) = if flags & LONG == 0 {
        let Some(&length) = rest.first() else { return Ok(None) };
        (2, usize::from(length))
    } else {
        let Some(length) = rest.first_chunk::<8>() else { return Ok(None) };
        (9, usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX))
    };
    if length > longest {
        return Err(ZmtpError::TooLong(longest));
    }
    let Some(body) = buffer.get(head..head + length) else { return Ok(None) };
    let frame = ZmtpFrame { more: flags & MORE != 0, is_command: flags & COMMAND != 0, body: body.to_vec() };
    buffer.drain(..head + length);
    Ok(Some(frame))
}
