//! A ZMTP connection: the handshake, then frames of bounded length.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::KeepAlive};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::wire::zmtp::{self, GREETING, REST, SocketRole, ZmtpError, ZmtpFrame, ZmtpVersion};

/// Time limit of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest frame of the handshake, in bytes.
const LONGEST_OF_HANDSHAKE: usize = 1024;
/// Bytes that are read at once.
const PIECE: usize = 4096;
/// Time for which a peer may leave sent bytes unread before the connection is closed.
const UNREAD: Duration = Duration::from_secs(60);

/// Limits of a peer's messages after the handshake.
#[derive(Clone, Copy, Debug)]
pub struct ZmtpLimits {
    /// Longest frame, in bytes.
    pub frame: usize,
    /// Maximum number of frames of one message.
    pub frames: usize,
}

/// Reason for which a connection ends.
#[derive(Debug, thiserror::Error)]
pub enum ZmtpEnd {
    /// The peer is gone, or does not read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the protocol or a limit.
    #[error(transparent)]
    Zmtp(#[from] ZmtpError),
}

/// A connection after its handshake.
pub struct ZmtpConnection {
    pub reader: ZmtpReader,
    pub writer: ZmtpWriter,
}

/// Receiving half of a connection.
pub struct ZmtpReader {
    stream: OwnedReadHalf,
    /// Bytes that were read and not yet taken: one frame and one piece at most.
    buffer: Vec<u8>,
    limits: ZmtpLimits,
}

/// Sending half of a connection.
pub struct ZmtpWriter(OwnedWriteHalf);

impl ZmtpConnection {
    /// Performs the handshake with a peer, whose role must fit `role`.
    pub async fn shake(stream: TcpStream, role: SocketRole, limits: ZmtpLimits) -> Result<Self, ZmtpEnd> {
        // An idle peer need not send anything, so only TCP's keep-alive tells that its host is gone.
        let _ = setsockopt(&stream.as_fd(), KeepAlive, &true);
        let (reader, writer) = stream.into_split();
        let reader = ZmtpReader { stream: reader, buffer: Vec::new(), limits };
        let mut connection = Self { reader, writer: ZmtpWriter(writer) };
        timeout(HANDSHAKE, connection.greet(role)).await.map_err(|_| too_slow())??;
        Ok(connection)
    }

    async fn greet(&mut self, role: SocketRole) -> Result<(), ZmtpEnd> {
        self.writer.write(&GREETING).await?;
        match zmtp::version(self.reader.bytes().await?)? {
            ZmtpVersion::Three => {
                self.writer.write(&zmtp::rest()).await?;
                zmtp::check_rest(&self.reader.bytes::<REST>().await?)?;
                self.writer.write(&zmtp::ready(role)).await?;
                let ready = self.reader.frame_of(LONGEST_OF_HANDSHAKE).await?;
                Ok(zmtp::check_ready(&ready, role)?)
            }
            ZmtpVersion::Two => {
                // ZMTP 2.0: the socket type, then a frame with an empty identity.
                self.writer.write(&[role.number(), 0, 0]).await?;
                let [peer] = self.reader.bytes().await?;
                if !role.fits_number(peer) {
                    return Err(ZmtpError::SocketType.into());
                }
                self.reader.frame_of(LONGEST_OF_HANDSHAKE).await?;
                Ok(())
            }
        }
    }
}

impl ZmtpReader {
    /// Reads the next frame. Safe to cancel: bytes that were read stay in the buffer.
    pub async fn frame(&mut self) -> Result<ZmtpFrame, ZmtpEnd> {
        self.frame_of(self.limits.frame).await
    }

    /// Reads the frames of the next message; a command before it is returned as a message of its own.
    pub async fn message(&mut self) -> Result<Vec<ZmtpFrame>, ZmtpEnd> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await?;
            let more = frame.more;
            frames.push(frame);
            if !more {
                return Ok(frames);
            }
            if frames.len() >= self.limits.frames {
                return Err(ZmtpError::TooManyFrames(self.limits.frames).into());
            }
        }
    }

    async fn frame_of(&mut self, longest: usize) -> Result<ZmtpFrame, ZmtpEnd> {
        loop {
            if let Some(frame) = zmtp::take(&mut self.buffer, longest)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    async fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ZmtpEnd> {
        while self.buffer.len() < N {
            self.fill().await?;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.buffer[..N]);
        self.buffer.drain(..N);
        Ok(bytes)
    }

    async fn fill(&mut self) -> io::Result<()> {
        // Awaited before the array exists, so that the task of an idle peer does not hold it.
        self.stream.readable().await?;
        let mut piece = [0; PIECE];
        match self.stream.try_read(&mut piece) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
            // A socket may seem ready without being so; the caller tries again.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(e),
        }
    }
}

impl ZmtpWriter {
    /// Sends bytes; fails if the peer leaves them unread for too long.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(UNREAD, self.0.write_all(bytes)).await.map_err(|_| too_slow())?
    }
}

fn too_slow() -> io::Error {
    io::ErrorKind::TimedOut.into()
}
