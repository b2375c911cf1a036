//! Sockets between worker and shim: a socket pair while the worker lives, and a named socket by which a later worker
//! finds the shim.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, sockopt::PeerCredentials,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::syscall;

#[cfg(test)]
mod tests;

/// Returns the directory of the shims' sockets below a state directory.
#[must_use]
pub fn directory(state: &Path) -> PathBuf {
    state.join("shims")
}

/// Named socket of a shim that processes of the same user may connect to.
#[derive(Debug)]
pub struct ShimListener {
    fd: OwnedFd,
    path: PathBuf,
}

impl ShimListener {
    /// Listens at `<directory>/<shim>.sock`; creates the directory if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be created or the socket not be bound.
    pub fn bind(directory: &Path, shim: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Self::at(directory.join(format!("{shim}.sock")))
    }

    /// Binds a new socket at the same path, whose file was removed.
    ///
    /// # Errors
    /// If the socket cannot be bound, for example because the state directory was moved.
    pub fn anew(&self) -> io::Result<Self> {
        // Only the last directory is created: a state directory that was moved must not come back as an empty one.
        let directory = self.path.parent().unwrap_or(&self.path);
        match std::fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        Self::at(self.path.clone())
    }

    fn at(path: PathBuf) -> io::Result<Self> {
        let (directory, name) = parts(&path)?;
        let fd = new()?;
        let dir = open_directory(directory)?;
        // Through the descriptor of the directory: see `short`.
        socket::bind(fd.as_raw_fd(), &short(&dir, name)?)?;
        // Only workers connect, one after the other.
        socket::listen(&fd, Backlog::new(4)?)?;
        Ok(Self { fd, path })
    }

    /// Returns the path of the socket file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// If none is waiting, or the other end belongs to another user.
    pub fn accept(&self) -> io::Result<ShimPeer> {
        let fd = syscall::accept(self.fd.as_fd())?;
        same_user(&fd)?;
        Ok(ShimPeer { fd })
    }
}

impl AsFd for ShimListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Connects to the socket of a shim.
///
/// # Errors
/// If no process listens, or one of another user does.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let (directory, name) = parts(path)?;
    let fd = new()?;
    let dir = open_directory(directory)?;
    socket::connect(fd.as_raw_fd(), &short(&dir, name)?)?;
    same_user(&fd)?;
    Ok(fd)
}

/// Returns whether no process listens at a socket's path any more. Asks with a datagram socket, which is always
/// refused, but with another error by a living listener: a real connection would take the place of the worker's.
#[must_use]
pub fn is_dead(path: &Path) -> bool {
    let Ok((directory, name)) = parts(path) else { return false };
    let ask = || -> io::Result<()> {
        let fd = socket::socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let dir = open_directory(directory)?;
        Ok(socket::connect(fd.as_raw_fd(), &short(&dir, name)?)?)
    };
    ask().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// Creates a connected pair of packet sockets.
///
/// # Errors
/// If the system has no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socket::socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )?)
}

fn new() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?)
}

/// Splits a socket's path into its directory and its name.
fn parts(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path)?.into())
}

/// Returns a short address of a socket. A Unix address has room for 107 bytes, which the path of a state directory may
/// exceed.
fn short(dir: &OwnedFd, name: &str) -> io::Result<UnixAddr> {
    Ok(UnixAddr::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).as_str())?)
}

/// Returns the pid of the process at the other end of a connection; `None` if it is outside this pid namespace.
#[must_use]
pub fn peer(fd: &OwnedFd) -> Option<i32> {
    socket::getsockopt(fd, PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
}

fn same_user(fd: &OwnedFd) -> io::Result<()> {
    let peer = socket::getsockopt(fd, PeerCredentials)?;
    if peer.uid() == nix::unistd::geteuid().as_raw() {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }
}

/// The other end of a connection, as a shim sees it: a worker.
#[derive(Debug)]
pub struct ShimPeer {
    fd: OwnedFd,
}

impl ShimPeer {
    /// Takes the worker's connection from descriptor 0, where the shim was given it, and puts `/dev/null` there
    /// instead.
    ///
    /// # Errors
    /// If descriptor 0 cannot be duplicated or replaced.
    pub fn inherited() -> io::Result<Self> {
        let fd = std::io::stdin().as_fd().try_clone_to_owned()?;
        let null = std::fs::OpenOptions::new().read(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        let flags = OFlag::from_bits_retain(nix::fcntl::fcntl(&fd, FcntlArg::F_GETFL)?);
        nix::fcntl::fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { fd })
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// If the worker is gone, or its receive queue is full (`WouldBlock`).
    pub fn say(&self, said: &impl Serialize) -> io::Result<()> {
        say(&self.fd, said)
    }

    /// Receives one packet into `packet`; `None` if it cannot be decoded or none has arrived.
    ///
    /// # Errors
    /// If the other end is closed.
    pub fn hear<T: DeserializeOwned>(&self, packet: &mut [u8]) -> io::Result<Option<T>> {
        match hear(&self.fd, packet) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            heard => heard,
        }
    }
}

/// Sends one packet.
///
/// # Errors
/// If the other end is closed, or its queue is full (`WouldBlock`).
pub fn say(fd: &OwnedFd, said: &impl Serialize) -> io::Result<()> {
    let packet = serde_json::to_vec(said)?;
    socket::send(fd.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Receives one packet into `packet`; `None` if it cannot be decoded.
///
/// # Errors
/// If the other end is closed, or no packet has arrived (`WouldBlock`).
fn hear<T: DeserializeOwned>(fd: &OwnedFd, packet: &mut [u8]) -> io::Result<Option<T>> {
    loop {
        return match socket::recv(fd.as_raw_fd(), packet, MsgFlags::empty()) {
            // A closed packet socket reads as an empty packet.
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(n) => Ok(serde_json::from_slice(&packet[..n]).ok()),
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => Err(e.into()),
        };
    }
}

impl AsFd for ShimPeer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
