//! The effective configuration, for somebody who asks why.

use std::fmt;

use super::findings::{Origin, Texts, one_line};
use super::keys::Key;

/// One key, what it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveKey {
    /// The key.
    pub key: &'static str,
    /// Its value on one line; never a secret.
    pub value_shown: String,
    /// Where the value comes from.
    pub origin: Origin,
}

impl fmt::Display for EffectiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}  ({})", self.key, self.value_shown, self.origin)
    }
}

/// Every key, in the order of the documentation.
pub fn effective(keys: &[Key], given: &Texts) -> Vec<EffectiveKey> {
    let given = keys.iter().filter_map(|key| given.get(key.name));
    given
        .map(|given| EffectiveKey {
            key: given.key,
            value_shown: match given.key {
                // As many stars whatever its length.
                "secret" => "****".to_owned(),
                _ => one_line(&given.text),
            },
            origin: given.origin.clone(),
        })
        .collect()
}
