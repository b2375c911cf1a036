//! Surroundings: a value that holds the environment, the options and the working directory of the process. Code that
//! takes this value instead of reading the process is a pure function.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Environment variables and everything else that a default depends on.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Keys set by the command line, each with the option and its text. They take precedence over everything else.
    pub options: BTreeMap<&'static str, (&'static str, String)>,
    /// All environment variables: unknown ones with the program's prefix cause a warning.
    pub variables: BTreeMap<OsString, OsString>,
    /// Directory that relative paths start from.
    pub working_directory: PathBuf,
    /// Whether the effective user is root.
    pub is_root: bool,
}

impl Surroundings {
    /// Captures the surroundings of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            options: BTreeMap::new(),
            variables: env::vars_os().collect(),
            // If the working directory was removed, relative paths stay relative.
            working_directory: env::current_dir().unwrap_or_default(),
            is_root: nix::unistd::geteuid().is_root(),
        }
    }

    /// Returns a variable, even if it is empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Returns a variable that holds a path; an empty one counts as not set.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.variable(name).filter(|value| !value.is_empty()).map(Path::new)
    }

    /// Returns a path made absolute by the working directory.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.working_directory.join(path)
    }

    /// Returns the default state directory: the one that systemd created; without one, a directory below `/var/lib` for
    /// root and below the user's own state directory for others.
    #[must_use]
    pub fn state_path(&self, program: &str) -> Option<PathBuf> {
        self.systemd_state().or_else(|| {
            // A root worker is a system service; its home directory is not where an administrator looks for state.
            if self.is_root {
                Some(Path::new("/var/lib").join(program))
            } else {
                self.user_state().map(|state| state.join(program))
            }
        })
    }

    /// Returns the first of systemd's state directories, which are separated by colons.
    fn systemd_state(&self) -> Option<PathBuf> {
        let directories = self.variable("STATE_DIRECTORY")?;
        env::split_paths(directories).next().filter(|path| !path.as_os_str().is_empty())
    }

    /// Returns the user's state directory by the XDG rules; a relative `XDG_STATE_HOME` is ignored.
    fn user_state(&self) -> Option<PathBuf> {
        let configured = self.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || self.path("HOME").map(|home| home.join(".local/state"));
        configured.map(Path::to_path_buf).or_else(home)
    }
}
