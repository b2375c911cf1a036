//! Display of the effective configuration: every key with its value and origin.

use std::fmt;

use super::findings::{Origin, Texts, one_line};
use super::keys::Key;

/// Effective value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveKey {
    /// Name of the key in the file.
    pub key: &'static str,
    /// Value on one line; without what is secret in it.
    pub value_shown: String,
    /// Origin of the value: option, variable, line of the file, or default.
    pub origin: Origin,
}

impl fmt::Display for EffectiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}  ({})", self.key, self.value_shown, self.origin)
    }
}

/// Lists the effective keys in the order of the documentation.
pub fn effective(keys: &[Key], given: &Texts) -> Vec<EffectiveKey> {
    let given = keys.iter().filter_map(|key| given.get(key.name));
    given
        .map(|given| EffectiveKey {
            key: given.key,
            value_shown: match given.key {
                // A fixed number of stars, so that the length is not shown either.
                "secret" | "worker_secret" | "worker_registration_secret" if !given.text.is_empty() => {
                    "****".to_owned()
                }
                #[cfg(feature = "server")]
                "database" => one_line(&super::server::database::shown(&given.text)),
                _ => one_line(&given.text),
            },
            origin: given.origin.clone(),
        })
        .collect()
}
