//! What a path names. Pure.

use super::answer::ApiAnswer;
use crate::server::domain::resource::Resource;

#[cfg(test)]
mod tests;

/// Where everything is.
const ROOT: &str = "/api/v1/";

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourcePath {
    /// The list of the resources.
    Top,
    /// The list of a resource.
    List(Resource),
    /// What its fields are.
    Schema(Resource),
    /// Some of it, by their ids.
    Set(Resource, Vec<String>),
    /// One of it, by its id.
    Detail(Resource, String),
}

impl ResourcePath {
    /// Reads a path.
    ///
    /// # Errors
    /// What to answer where it names nothing.
    pub fn of(path: &str, query: &str) -> Result<Self, ApiAnswer> {
        if let Some(target) = named(path) {
            return Ok(target);
        }
        let whole = format!("{path}/");
        if named(&whole).is_none() {
            return Err(ApiAnswer::no_path());
        }
        // A signature covers the path, so that whoever follows this has to sign anew.
        let mark = if query.is_empty() { "" } else { "?" };
        Err(ApiAnswer::elsewhere(format!("{whole}{mark}{query}")))
    }

    /// What to answer to a method that is not for this, or asks what is; `None` if it is.
    #[must_use]
    pub fn refuses(&self, method: &str) -> Option<ApiAnswer> {
        let allowed = match self {
            Self::Top => return None,
            Self::Schema(_) | Self::Set(..) => &["GET"],
            Self::List(resource) => resource.list_methods(),
            Self::Detail(resource, _) => resource.detail_methods(),
        };
        match method {
            "OPTIONS" => Some(ApiAnswer::options(allowed)),
            method => (!allowed.contains(&method)).then(|| ApiAnswer::not_allowed(allowed)),
        }
    }
}

fn named(path: &str) -> Option<ResourcePath> {
    let inner = path.strip_prefix(ROOT)?;
    if inner.is_empty() {
        return Some(ResourcePath::Top);
    }
    let inner = inner.strip_suffix('/')?;
    let (name, rest) = inner.split_once('/').map_or((inner, None), |(name, rest)| (name, Some(rest)));
    let resource = Resource::named(name)?;
    match rest {
        None => Some(ResourcePath::List(resource)),
        Some("schema") => Some(ResourcePath::Schema(resource)),
        Some(rest) => match rest.strip_prefix("set/") {
            Some(ids) if is_word(ids, "/;-") => {
                Some(ResourcePath::Set(resource, ids.split(';').map(str::to_owned).collect()))
            }
            _ if is_word(rest, "/-") => Some(ResourcePath::Detail(resource, rest.to_owned())),
            _ => None,
        },
    }
}

fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || others.contains(c))
}
