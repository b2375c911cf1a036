//! Paths of the API: parses a path to the resource, list or detail that it names. Pure.

use super::answer::ApiAnswer;
use crate::server::domain::resource::Resource;

#[cfg(test)]
mod tests;

/// Path of the API's root.
const ROOT: &str = "/api/v1/";

/// Target of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourcePath {
    /// Root, which lists the resources.
    Top,
    /// List of a resource.
    List(Resource),
    /// Schema of a resource, which describes its fields.
    Schema(Resource),
    /// Entities of a resource, by their ids.
    Set(Resource, Vec<String>),
    /// One entity of a resource, by its id.
    Detail(Resource, String),
}

impl ResourcePath {
    /// Parses a path.
    ///
    /// # Errors
    /// If the path names nothing: the answer is 404, or 301 where only the last slash is missing.
    pub fn of(path: &str, query: &str) -> Result<Self, ApiAnswer> {
        if let Some(target) = named(path) {
            return Ok(target);
        }
        let whole = format!("{path}/");
        if named(&whole).is_none() {
            return Err(ApiAnswer::no_path());
        }
        // A signature covers the path, so a worker that follows this has to sign again.
        let mark = if query.is_empty() { "" } else { "?" };
        Err(ApiAnswer::elsewhere(format!("{whole}{mark}{query}")))
    }

    /// Returns the answer to a method that the target does not allow, and to OPTIONS; `None` if the method is allowed,
    /// as every method is for the root.
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
        // `schema` and `set/` could be ids as well; in the original they come first, too.
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
