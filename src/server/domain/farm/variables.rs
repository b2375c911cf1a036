//! Variables in the settings of commands: texts that differ from one operating system to another.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Values of variables, by name and operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, BTreeMap<String, String>>);

impl Variables {
    /// Takes over the values by name and operating system: `linux`, `windows` or `darwin`.
    #[must_use]
    pub fn new(values: BTreeMap<String, BTreeMap<String, String>>) -> Self {
        Self(values)
    }

    /// Replaces `{name}` in the texts among a command's settings by the value for an operating system. Lists and objects
    /// stay as they are, and so does a name without a value.
    pub fn expand_settings(&self, settings: &mut Map<String, Value>, platform: &str) {
        for value in settings.values_mut() {
            if let Value::String(text) = value {
                *text = self.expand(text, platform);
            }
        }
    }

    /// Goes through the text once, from left to right: a value is not looked through again.
    fn expand(&self, text: &str, platform: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            expanded.push_str(&rest[..open]);
            rest = &rest[open..];
            let name = rest[1..].find('}').map(|close| &rest[1..=close]);
            let value = name.and_then(|name| Some((name, self.0.get(name)?.get(platform)?)));
            if let Some((name, value)) = value {
                expanded.push_str(value);
                rest = &rest[name.len() + 2..];
            } else {
                // The name may begin at a brace further on.
                expanded.push('{');
                rest = &rest[1..];
            }
        }
        expanded.push_str(rest);
        expanded
    }
}
