//! The original's installation: made once, then shared by all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What `peer/setup` made.
pub struct Peer {
    folder: PathBuf,
}

impl Peer {
    /// The installation, or `None` without a Python 2.7.
    ///
    /// # Panics
    ///
    /// When there is a Python 2.7 and the installation fails, or when there is none though
    /// `JOB_RUNNER_REQUIRE_INTEROP=1` asks for one.
    pub fn installed() -> Option<&'static Self> {
        static PEER: OnceLock<Option<Peer>> = OnceLock::new();
        PEER.get_or_init(Self::install).as_ref()
    }

    fn install() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder =
            std::env::var_os("JOB_RUNNER_PEER_DIR").map_or_else(|| root.join("target/interop-peer"), PathBuf::from);
        let setup =
            Command::new(root.join("tests/interop/peer/setup")).arg(&folder).output().expect("peer/setup starts");
        let said = String::from_utf8_lossy(&setup.stderr);
        match setup.status.code() {
            Some(0) => Some(Self { folder }),
            Some(3) => {
                let required = std::env::var("JOB_RUNNER_REQUIRE_INTEROP").is_ok_and(|v| v == "1");
                assert!(!required, "JOB_RUNNER_REQUIRE_INTEROP=1, but {said}");
                None
            }
            _ => panic!("the original cannot be installed: {said}"),
        }
    }

    /// A command of `peer/cfg/peer.py`.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(self.folder.join("python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peer/cfg/peer.py"));
        command.arg(verb);
        command
    }

    /// The seeded database, to be copied.
    pub fn database(&self) -> PathBuf {
        self.folder.join("db.sqlite")
    }
}
