//! The sockets between worker and shim: a pair for as long as the worker lives, and one to be found by.

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

/// Where the sockets of the shims are.
#[must_use]
pub fn directory(state: &Path) -> PathBuf {
    state.join("shims")
}

/// A socket that somebody of our own user may connect to.
#[derive(Debug)]
pub struct ShimListener {
    fd: OwnedFd,
    path: PathBuf,
}

impl ShimListener {
    /// Listens at `<directory>/<shim>.sock`.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(directory: &Path, shim: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Self::at(directory.join(format!("{shim}.sock")))
    }

    /// One at the same place, where nothing is any more.
    ///
    /// # Errors
    /// What the system says: that the state directory is somewhere else, for one.
    pub fn anew(&self) -> io::Result<Self> {
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
        socket::bind(fd.as_raw_fd(), &short(&dir, name)?)?;
        socket::listen(&fd, Backlog::new(4)?)?;
        Ok(Self { fd, path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// What the system says, or that it is another user's.
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

/// Connects to a shim's socket.
///
/// # Errors
/// That nobody listens, or somebody else's process does.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let (directory, name) = parts(path)?;
    let fd = new()?;
    let dir = open_directory(directory)?;
    socket::connect(fd.as_raw_fd(), &short(&dir, name)?)?;
    same_user(&fd)?;
    Ok(fd)
}

/// Whether nobody listens at a socket's path any more. Asked with a socket of another kind, which is refused
/// there too, only in other words: a connection that is made would take the place of the worker's.
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

/// A connected pair.
///
/// # Errors
/// What the system says.
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

/// A socket's directory and its name there.
fn parts(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path)?.into())
}

/// A socket's path has room for 107 bytes, a state directory may need more: this way it is short.
fn short(dir: &OwnedFd, name: &str) -> io::Result<UnixAddr> {
    Ok(UnixAddr::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).as_str())?)
}

/// The process at the other end of a connection: who listens there. `None` where it cannot be seen from here.
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

/// Somebody to talk to.
#[derive(Debug)]
pub struct ShimPeer {
    fd: OwnedFd,
}

impl ShimPeer {
    /// The worker's end of the pair that a shim is started with, on descriptor 0, which is then
    /// `/dev/null` as a descriptor 0 should be.
    ///
    /// # Errors
    /// What the system says.
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
    /// That nobody is there, or does not listen any more.
    pub fn say(&self, said: &impl Serialize) -> io::Result<()> {
        say(&self.fd, said)
    }

    /// Receives one packet into room for it; `None` for one that cannot be read, or that is not there yet.
    ///
    /// # Errors
    /// That nobody is there any more.
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
/// That nobody is there, or does not listen any more, or `WouldBlock`.
pub fn say(fd: &OwnedFd, said: &impl Serialize) -> io::Result<()> {
    let packet = serde_json::to_vec(said)?;
    socket::send(fd.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Receives one packet into room for it; `None` for one that cannot be read.
///
/// # Errors
/// That nobody is there any more, or `WouldBlock`.
fn hear<T: DeserializeOwned>(fd: &OwnedFd, packet: &mut [u8]) -> io::Result<Option<T>> {
    loop {
        return match socket::recv(fd.as_raw_fd(), packet, MsgFlags::empty()) {
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
