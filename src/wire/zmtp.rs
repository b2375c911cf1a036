//! ZMTP, the protocol beneath ZeroMQ, as far as a bound PUB or SUB socket needs it: versions 3.x and 2.0, the mechanism
//! NULL. Pure.
//!
//! Version 3 follows <https://rfc.zeromq.org/spec/23/>, version 2 <https://rfc.zeromq.org/spec/15/>: libzmq 3.2 and
//! later. The protocol of libzmq 2, in which a publisher does not learn the subscriptions, is refused.

#[cfg(test)]
mod tests;

/// First bytes of a greeting: the signature, and the latest version that is spoken. That is 3.0, in which a
/// subscription is a message.
pub const GREETING: [u8; 11] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3];
/// Length of the rest of a greeting of version 3, in bytes.
pub const REST: usize = 53;
/// Flag of a frame that is followed by others of its message.
const MORE: u8 = 1;
/// Flag of a frame whose length field has eight bytes.
const LONG: u8 = 2;
/// Flag of a frame that is a command.
const COMMAND: u8 = 4;

/// Role of the server's own socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketRole {
    /// Sends messages to its subscribers.
    Publisher,
    /// Receives the messages that it has subscribed to.
    Subscriber,
}

impl SocketRole {
    fn name(self) -> &'static str {
        match self {
            Self::Publisher => "PUB",
            Self::Subscriber => "SUB",
        }
    }

    /// Socket type in the handshake of version 2.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Publisher => 1,
            Self::Subscriber => 2,
        }
    }

    /// Returns whether a peer has the opposite role, by its socket type in version 2: SUB or XSUB for a publisher, PUB
    /// or XPUB for a subscriber.
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

/// Protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZmtpVersion {
    /// Version 2.0: after the greeting come a socket type and an identity.
    Two,
    /// Version 3.x: after the greeting comes a handshake of commands.
    Three,
}

/// Reason why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// The peer does not begin as versions 2 and 3 do.
    #[error("no ZMTP of version 2 or 3")]
    Greeting,
    /// The peer asks for another mechanism than NULL.
    #[error("a security mechanism other than NULL")]
    Mechanism,
    /// The peer's socket has the same role, or a type that neither publishes nor subscribes.
    #[error("a socket of the wrong type")]
    SocketType,
    /// A frame or a handshake command breaks the protocol.
    #[error("a malformed frame")]
    Malformed,
    /// A frame is longer than the bound, which is in bytes.
    #[error("a frame of more than {0} bytes")]
    TooLong(usize),
    /// A message has more frames than the bound.
    #[error("a message of more than {0} frames")]
    TooManyFrames(usize),
    /// The connection holds more subscriptions than the bound.
    #[error("more than {0} subscriptions")]
    TooManySubscriptions(usize),
    /// The peer sends more frames a minute than the bound.
    #[error("more than {0} frames a minute")]
    TooMany(u32),
}

/// Frame that was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZmtpFrame {
    /// Whether other frames of the same message follow.
    pub more: bool,
    /// Whether the frame is a command.
    pub is_command: bool,
    /// Content of the frame.
    pub body: Vec<u8>,
}

/// Reads the protocol version off the peer's first eleven bytes.
///
/// # Errors
/// If the peer speaks another protocol.
pub fn version(greeting: [u8; 11]) -> Result<ZmtpVersion, ZmtpError> {
    match greeting {
        // To a peer of version 1 the signature is a frame header: 0xff, eight bytes of length, flags. The length
        // differs between implementations; the lowest bit of the flags, which a first frame of version 1 has not set,
        // tells the versions apart.
        [0xff, .., odd, 1 | 2] if odd & 1 == 1 => Ok(ZmtpVersion::Two),
        [0xff, .., odd, 3..=u8::MAX] if odd & 1 == 1 => Ok(ZmtpVersion::Three),
        _ => Err(ZmtpError::Greeting),
    }
}

/// Returns the rest of the greeting in version 3: minor version 0, the mechanism NULL, and the flag of a server as 0,
/// which NULL ignores.
#[must_use]
pub fn rest() -> [u8; REST] {
    let mut rest = [0; REST];
    rest[1..5].copy_from_slice(b"NULL");
    rest
}

/// Checks the rest of the peer's greeting.
///
/// # Errors
/// If the peer asks for another mechanism than NULL.
pub fn check_rest(rest: &[u8; REST]) -> Result<(), ZmtpError> {
    if rest[1..5] == *b"NULL" && rest[5..21].iter().all(|byte| *byte == 0) { Ok(()) } else { Err(ZmtpError::Mechanism) }
}

/// Encodes the command READY, which ends this side of the handshake.
#[must_use]
pub fn ready(role: SocketRole) -> Vec<u8> {
    let name = role.name().as_bytes();
    // The length of a name takes one byte before it, that of a value four.
    let mut body = b"\x05READY\x0bSocket-Type".to_vec();
    body.extend(u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
    body.extend(name);
    encode(COMMAND, &body)
}

/// Checks the command that ends the peer's side of the handshake.
///
/// # Errors
/// If the frame is not READY, or names a socket type that does not fit `role`.
pub fn check_ready(frame: &ZmtpFrame, role: SocketRole) -> Result<(), ZmtpError> {
    let properties = frame.body.strip_prefix(b"\x05READY").filter(|_| frame.is_command);
    let mut rest = properties.ok_or(ZmtpError::Malformed)?;
    while let Some((name, value, further)) = property(rest) {
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return if role.fits_name(value) { Ok(()) } else { Err(ZmtpError::SocketType) };
        }
        rest = further;
    }
    // A peer that names no type cannot be told from one of the wrong type.
    Err(ZmtpError::SocketType)
}

/// Splits the first property off a handshake command: name, value, and the bytes that follow.
fn property(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((name, value, rest))
}

/// Meaning of a frame from a publisher's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerCommand<'a> {
    /// Subscription to the topics with this prefix.
    Subscribe(&'a [u8]),
    /// End of the subscription to this prefix.
    Cancel(&'a [u8]),
    /// Heartbeat; the content has to be sent back.
    Ping(&'a [u8]),
    /// Frame without a meaning for a publisher.
    Nothing,
}

/// Decodes a frame from a publisher's peer.
#[must_use]
pub fn said(frame: &ZmtpFrame) -> PeerCommand<'_> {
    let body = frame.body.as_slice();
    if !frame.is_command {
        // Version 3.0 and 2 subscribe by a message with one of these first bytes, 3.1 by a command.
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
        // The two bytes before the context are a time to live, which a side that never pings does not need.
        PeerCommand::Ping(context)
    } else {
        PeerCommand::Nothing
    }
}

/// Encodes the answer to a heartbeat.
#[must_use]
pub fn pong(context: &[u8]) -> Vec<u8> {
    encode(COMMAND, &[b"\x04PONG", context].concat())
}

/// Encodes a subscription to all topics with this prefix, as a message.
#[must_use]
pub fn subscription(topic: &[u8]) -> Vec<u8> {
    encode(0, &[b"\x01", topic].concat())
}

/// Encodes a message of the given frames.
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

/// Takes a frame off the beginning of a buffer; `None` where it has not arrived as a whole.
///
/// # Errors
/// If the frame is malformed or longer than `longest` bytes, which is known from its first bytes.
pub fn take(buffer: &mut Vec<u8>, longest: usize) -> Result<Option<ZmtpFrame>, ZmtpError> {
    let Some((&flags, rest)) = buffer.split_first() else { return Ok(None) };
    // A command has exactly one frame.
    if flags > (MORE | LONG | COMMAND) || flags & (MORE | COMMAND) == MORE | COMMAND {
        return Err(ZmtpError::Malformed);
    }
    let (head, length) = if flags & LONG == 0 {
        let Some(&length) = rest.first() else { return Ok(None) };
        (2, usize::from(length))
    } else {
        let Some(length) = rest.first_chunk::<8>() else { return Ok(None) };
        // A length that does not fit into memory is too long as well.
        (9, usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX))
    };
    // Before the body is waited for: a peer that announces a long frame must not have memory kept for it.
    if length > longest {
        return Err(ZmtpError::TooLong(longest));
    }
    let Some(body) = buffer.get(head..head + length) else { return Ok(None) };
    let frame = ZmtpFrame { more: flags & MORE != 0, is_command: flags & COMMAND != 0, body: body.to_vec() };
    buffer.drain(..head + length);
    Ok(Some(frame))
}
