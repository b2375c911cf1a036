//! What the process was started with, as a value, so that everything after it can be a function.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The environment variables and what else a default depends on.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The keys that the command line sets: the option and the text of each. It wins over everything else.
    pub options: BTreeMap<&'static str, (&'static str, String)>,
    /// All environment variables: unknown ones with our prefix are worth a warning.
    pub variables: BTreeMap<OsString, OsString>,
    /// What relative paths are relative to.
    pub working_directory: PathBuf,
    /// Whether the effective user is root.
    pub root: bool,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            options: BTreeMap::new(),
            variables: env::vars_os().collect(),
            // A working directory that was removed leaves relative paths relative.
            working_directory: env::current_dir().unwrap_or_default(),
            root: nix::unistd::geteuid().is_root(),
        }
    }

    /// A variable, even if it is empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A variable that holds a path; an empty one is as good as none.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.variable(name).filter(|value| !value.is_empty()).map(Path::new)
    }

    /// The path from the root.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.working_directory.join(path)
    }

    /// Where state is kept unless somebody says otherwise: what systemd made for us, else the
    /// user's own state, else the system's.
    #[must_use]
    pub fn state_path(&self, program: &str) -> Option<PathBuf> {
        self.systemd_state().or_else(|| {
            if self.root {
                Some(Path::new("/var/lib").join(program))
            } else {
                self.user_state().map(|state| state.join(program))
            }
        })
    }

    /// Several directories are separated by colons; the first one is ours.
    fn systemd_state(&self) -> Option<PathBuf> {
        let directories = self.variable("STATE_DIRECTORY")?;
        env::split_paths(directories).next().filter(|path| !path.as_os_str().is_empty())
    }

    /// The XDG rules: a relative path is ignored.
    fn user_state(&self) -> Option<PathBuf> {
        let configured = self.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || self.path("HOME").map(|home| home.join(".local/state"));
        configured.map(Path::to_path_buf).or_else(home)
    }
}
