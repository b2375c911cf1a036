//! Precedence of the sources of a key: command line, environment, file, default.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::file;
use super::findings::{Findings, Given, Origin, Texts};
use super::ini::{Dialect, Document, RawValue};
use super::interpolate::{self, interpolate};
use super::keys::{ConfiguredProgram, Key, Preset};
use super::surroundings::Surroundings;

/// Sources of the values, to be searched in order of precedence.
pub struct Layers<'a> {
    /// Program whose keys are resolved.
    pub program: &'a ConfiguredProgram,
    /// Command-line options and environment; their texts are literal and not interpolated.
    pub surroundings: &'a Surroundings,
    /// Configuration file, parsed but not interpolated.
    pub document: &'a Document,
    /// Path of the file as it was given, for messages.
    pub path: &'a Path,
}

impl Layers<'_> {
    /// Returns the texts in force, by key. Missing and unusable ones are reported in the findings.
    pub fn all(&self, findings: &mut Findings) -> Texts {
        let given = self.program.keys.iter().filter_map(|key| self.given(key, findings));
        given.map(|given| (given.key, given)).collect()
    }

    /// Returns the text in force for a key; `None` if there is none or it is unusable, which is in the findings.
    pub fn given(&self, key: &Key, findings: &mut Findings) -> Option<Given> {
        // From the strongest source to the weakest; a value that is set but unusable does not fall through to the next
        // one.
        if let Some((option, text)) = self.surroundings.options.get(key.name) {
            return Some(given(key, text, Origin::Option(option)));
        }
        if let Some(from_environment) = self.environment(key, findings) {
            return from_environment;
        }
        match self.document.value(self.program.section, key.name) {
            Some(value) => self.in_file(key, value, findings),
            None => self.preset(key, findings),
        }
    }

    /// Returns the origin of a value on a line of the file.
    pub fn origin(&self, line: usize) -> Origin {
        Origin::File { path: self.path.to_path_buf(), line }
    }

    /// Looks a key up in the environment. The outer `None` means not set there, the inner one set but unusable.
    fn environment(&self, key: &Key, findings: &mut Findings) -> Option<Option<Given>> {
        let name = self.program.variable(key.name);
        let variable = self.surroundings.variable(&name);
        let secret_name = self.program.secret_file.filter(|_| key.name == "secret");
        let secret_file = secret_name.and_then(|name| Some((name, self.surroundings.path(name)?)));
        let origin = Origin::Environment(name);
        match (variable, secret_file) {
            (None, None) => None,
            // Neither source is obviously the right one, and a wrong secret only shows as a refusal of the server.
            (Some(_), Some((other, _))) => {
                let what = format_args!("is set, and so is {other}; set one of them");
                findings.mistake(&origin, key.name, what);
                Some(None)
            }
            (Some(value), None) => {
                let given = value.to_str().map(|text| given(key, text, origin.clone()));
                if given.is_none() {
                    findings.mistake(&origin, key.name, "is not UTF-8; write it in UTF-8");
                }
                Some(given)
            }
            (None, Some((name, path))) => Some(self.secret_file(key, name, path, findings)),
        }
    }

    /// Reads the secret from a file, without the line break at its end that editors and `echo` add.
    fn secret_file(&self, key: &Key, name: &str, path: &Path, findings: &mut Findings) -> Option<Given> {
        let origin = Origin::Environment(name.to_owned());
        let content = match file::read(&self.surroundings.absolute(path)) {
            Ok(content) => content,
            Err(error) => {
                findings.mistake(&origin, key.name, format_args!("{} {error}", path.display()));
                return None;
            }
        };
        if content.exposed {
            let what = format_args!("{} can be read by others; chmod 600 it", path.display());
            findings.warning(&origin, key.name, what);
        }
        match str::from_utf8(&content.bytes) {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                Some(given(key, text.strip_suffix('\r').unwrap_or(text), origin))
            }
            Err(error) => {
                let (path, offset) = (path.display(), error.valid_up_to());
                let what = format_args!("{path} has a byte at offset {offset} that is not UTF-8");
                findings.mistake(&origin, key.name, what);
                None
            }
        }
    }

    fn in_file(&self, key: &Key, value: &RawValue, findings: &mut Findings) -> Option<Given> {
        let origin = self.origin(value.line);
        let lookup = |name: &str| {
            let found = self.document.reference(self.program.section, name);
            found.or_else(|| self.program.original_default(name))
        };
        let text = match self.program.dialect {
            Dialect::Python2 => interpolate(&value.raw, lookup),
            Dialect::Python3 => interpolate::of_python3(&value.raw, |section, name| match section {
                Some(section) => self.document.value(section, name).map(|value| value.raw.as_str()),
                None => lookup(name),
            }),
        };
        match text {
            Ok(text) => Some(given(key, &text, origin)),
            Err(fault) => {
                findings.mistake(&origin, key.name, masked(key, fault));
                None
            }
        }
    }

    fn preset(&self, key: &Key, findings: &mut Findings) -> Option<Given> {
        match key.preset {
            Preset::Original(_) | Preset::New(_) | Preset::Setting(_) => {
                key.preset.text().map(|text| given(key, &text, Origin::Default))
            }
            Preset::Required => {
                findings.missing.push(key.name);
                None
            }
            Preset::Computed => {
                let path = self.surroundings.state_path(self.program.state);
                let text = path.as_deref().and_then(Path::to_str);
                if text.is_none() {
                    let what = "there is no home directory to keep state in; set it to a path";
                    findings.mistake(&Origin::Default, key.name, what);
                }
                text.map(|text| given(key, text, Origin::Default))
            }
        }
    }
}

fn given(key: &Key, text: &str, origin: Origin) -> Given {
    Given { key: key.name, text: text.to_owned(), origin }
}

/// Removes the name from a message about the secret: what follows its `%(` may be a piece of it.
fn masked(key: &Key, fault: interpolate::InterpolationFault) -> interpolate::InterpolationFault {
    match fault {
        interpolate::InterpolationFault::Missing(_) if key.may_hold_secret() => {
            interpolate::InterpolationFault::Missing("…".to_owned())
        }
        fault => fault,
    }
}

/// Returns the variables with the program's prefix that set nothing.
pub fn unknown_variables(program: &ConfiguredProgram, surroundings: &Surroundings) -> impl Iterator<Item = String> {
    surroundings.variables.keys().filter_map(|name| {
        name.as_bytes().strip_prefix(program.prefix.as_bytes())?;
        let name = name.to_string_lossy();
        (!program.knows_variable(&name)).then(|| name.into_owned())
    })
}
