//! List filters: parses a query to the terms that each entry has to fulfil, and refuses the filters that the original
//! refuses. Pure.

use chrono_tz::Tz;

use super::time;
use crate::server::domain::resource::{FieldKind, Narrowing, Resource};
use crate::server::store::rest_lists::{
    Comparison, DatePart, FilterValue, MAX_PATTERN, Pattern, Term, Test, TextPlace,
};

#[cfg(test)]
mod tests;

/// Reason why a query is refused, in a sentence for the caller.
pub type FilterRefusal = String;

/// Suffixes behind `__` that say how a field is compared. The original knows `search`, `regex` and `iregex` as well,
/// but only where its database does.
const LOOKUPS: &[&str] = &[
    "exact",
    "iexact",
    "contains",
    "icontains",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "range",
    "year",
    "month",
    "day",
    "week_day",
    "isnull",
];

/// Maximum number of filters of one list.
const MAX_TERMS: usize = 100;
/// Maximum number of values of one filter. All filters together stay below the 32,766 that SQLite takes, as the head of
/// a request has no room for more.
const MAX_VALUES: usize = 10_000;

/// Name and value pairs of a query, decoded.
#[derive(Clone, Debug, Default)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Parses the text behind the question mark.
    #[must_use]
    pub fn of(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns the value of a name: the last one, as in the original.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&str> {
        self.values(name).last().copied()
    }

    fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the names, each once.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &self.0 {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// Parses limit and offset of a list. A limit of 0 stands for `most`.
///
/// # Errors
/// If limit or offset is not a number in range.
pub fn page(pairs: &Pairs, limit: u32, most: u32) -> Result<(u32, u64), FilterRefusal> {
    let limit = match pairs.last("limit").map(str::trim) {
        None => limit,
        Some(text) => text
            .parse::<u32>()
            .map_err(|_| format!("Invalid limit '{text}' provided. Please provide a positive integer."))?,
    };
    let offset = match pairs.last("offset").map(str::trim) {
        None => 0,
        Some(text) => {
            text.parse().map_err(|_| format!("Invalid offset '{text}' provided. Please provide an integer."))?
        }
    };
    Ok((if limit == 0 { most } else { limit.min(most) }, offset))
}

/// Parses the terms that each entry of a list has to fulfil. Names that are not fields are ignored, as in the original.
///
/// # Errors
/// If a filter is refused; the sentence names it.
pub fn terms(resource: Resource, pairs: &Pairs, zone: Tz) -> Result<Vec<Term>, FilterRefusal> {
    let mut terms = Vec::new();
    let names = pairs.names();
    if names.len() > MAX_TERMS {
        return Err(format!("A list is narrowed by {MAX_TERMS} filters at most."));
    }
    for name in names {
        let values = pairs.values(name);
        match (name, values.last()) {
            ("order_by" | "sort_by", Some(field)) => {
                return Err(format!("The '{}' field does not allow ordering.", field.trim_start_matches('-')));
            }
            // `project_id` and `state` are no fields but parameters of their own in the original.
            ("project_id", Some(value)) if of_projects(resource) => {
                terms.push(Term::OfProject(value.parse().map_err(|_| mismatched())?));
            }
            ("state", Some(value)) if resource == Resource::Run => terms.extend(state(value)),
            (name, _) => terms.extend(field(resource, name, &values, zone)?),
        }
    }
    Ok(terms)
}

fn mismatched() -> FilterRefusal {
    "Invalid resource lookup data provided (mismatched type).".to_owned()
}

fn of_projects(resource: Resource) -> bool {
    matches!(resource, Resource::WorkerPool | Resource::Worker | Resource::JobTemplate | Resource::Job | Resource::Run)
}

/// Returns the terms of a run's state by the original's name; other names are ignored.
fn state(name: &str) -> Vec<Term> {
    let plain = |field: &str, test| Term::Field { over: Vec::new(), field: field.to_owned(), test };
    let null = |field: &str, null| plain(field, Test::IsNull(null));
    let completed = || vec![null("enqueue_dts", false), null("start_dts", false), null("return_dts", false)];
    let ended = |success: bool| {
        let mut terms = completed();
        terms.push(plain("return_success", Test::Compared(Comparison::Equal, FilterValue::Number(success.into()))));
        terms
    };
    match name {
        "scheduled" => vec![null("enqueue_dts", true)],
        "in_queue" => vec![null("enqueue_dts", false), null("start_dts", true)],
        "started" => vec![null("enqueue_dts", false), null("start_dts", false), null("return_dts", true)],
        "completed" => completed(),
        "completed_successful" => ended(true),
        "completed_with_error" => ended(false),
        "last_completed" => {
            let mut terms = completed();
            terms.push(Term::LastCompleted);
            terms
        }
        _ => Vec::new(),
    }
}

fn field(resource: Resource, name: &str, values: &[&str], zone: Tz) -> Result<Option<Term>, FilterRefusal> {
    let mut bits: Vec<&str> = name.split("__").collect();
    if resource.field(bits[0]).is_none() {
        return Ok(None);
    }
    let lookup = match bits.last() {
        Some(last) if bits.len() > 1 && LOOKUPS.contains(last) => bits.pop().unwrap_or("exact"),
        _ => "exact",
    };
    let mut over = Vec::new();
    // Follows the relations of a name such as `job__job_template__project`, and checks at each step that the original
    // allows it.
    let (mut here, mut rest) = (resource, bits.as_slice());
    loop {
        let [name, deeper @ ..] = rest else { return Ok(None) };
        let refused = || format!("The '{name}' field does not allow filtering.");
        let (kind, narrowing) = here.field(name).ok_or_else(refused)?;
        match narrowing {
            Narrowing::No => return Err(refused()),
            Narrowing::Exact if lookup != "exact" => {
                return Err(format!("'{lookup}' is not an allowed filter on the '{name}' field."));
            }
            Narrowing::Exact | Narrowing::Any if !deeper.is_empty() => {
                return Err(format!("The '{name}' field does not support relations."));
            }
            Narrowing::Exact | Narrowing::Any | Narrowing::Related => {}
        }
        let (FieldKind::One(there), [_, ..]) = (kind, deeper) else {
            let test = test(kind, lookup, values, zone)?;
            return Ok(Some(Term::Field { over, field: (*name).to_owned(), test }));
        };
        over.push((static_name(name), there));
        (here, rest) = (there, deeper);
    }
}

/// Returns the static name of a field that leads to another resource.
fn static_name(name: &str) -> &'static str {
    // The default is never taken: these are all fields that lead to one other resource and may be followed.
    ["project", "job_template", "job", "worker"].into_iter().find(|known| *known == name).unwrap_or("id")
}

fn test(kind: FieldKind, lookup: &str, values: &[&str], zone: Tz) -> Result<Test, FilterRefusal> {
    let Some(last) = values.last().copied() else { return Err(mismatched()) };
    let one = |text: &str| value(kind, text, zone).ok_or_else(mismatched);
    let several = || {
        let parts = values.iter().flat_map(|value| value.split(','));
        // One more than is allowed shows that there are too many, without parsing the rest.
        let values = parts.take(MAX_VALUES + 1).map(one).collect::<Result<Vec<_>, _>>()?;
        if values.len() > MAX_VALUES {
            return Err(format!("A filter has {MAX_VALUES} values at most."));
        }
        Ok(values)
    };
    // The store ignores the case of ASCII letters, so the lookups with and without `i` are the same.
    let like = |place| {
        let too_long =
            || format!("The text of a filter has {MAX_PATTERN} bytes at most, of which %, _ and \\ take two.");
        Pattern::new(place, last).map(Test::Matches).ok_or_else(too_long)
    };
    Ok(match lookup {
        "isnull" => Test::IsNull(!matches!(last, "false" | "False" | "" | "0")),
        // The original reads these words as null.
        "exact" | "iexact" if matches!(last, "nil" | "none" | "None") => Test::IsNull(true),
        "exact" => Test::Compared(Comparison::Equal, one(last)?),
        "iexact" => like(TextPlace::Whole)?,
        "gt" => Test::Compared(Comparison::Greater, one(last)?),
        "gte" => Test::Compared(Comparison::GreaterOrEqual, one(last)?),
        "lt" => Test::Compared(Comparison::Less, one(last)?),
        "lte" => Test::Compared(Comparison::LessOrEqual, one(last)?),
        "contains" | "icontains" => like(TextPlace::Anywhere)?,
        "startswith" | "istartswith" => like(TextPlace::Start)?,
        "endswith" | "iendswith" => like(TextPlace::End)?,
        "in" => Test::In(several()?),
        "range" => match <[FilterValue; 2]>::try_from(several()?) {
            Ok([from, to]) => Test::Between(from, to),
            Err(_) => return Err(mismatched()),
        },
        // Nothing but a time has a year.
        _ if kind != FieldKind::Time => return Err(mismatched()),
        part => {
            let number: i64 = last.parse().map_err(|_| mismatched())?;
            match part {
                "year" => Test::Part(DatePart::Year, number),
                "month" => Test::Part(DatePart::Month, number),
                "day" => Test::Part(DatePart::Day, number),
                // The original counts from Sunday, 1; the store from Sunday, 0.
                _ => Test::Part(DatePart::Weekday, number.checked_sub(1).ok_or_else(mismatched)?),
            }
        }
    })
}

fn value(kind: FieldKind, text: &str, zone: Tz) -> Option<FilterValue> {
    match kind {
        FieldKind::Text => Some(FilterValue::Text(text.to_owned())),
        FieldKind::Number | FieldKind::One(_) => text.parse().ok().map(FilterValue::Number),
        FieldKind::Truth => match text {
            "true" | "True" | "1" => Some(FilterValue::Number(1)),
            "false" | "False" | "0" => Some(FilterValue::Number(0)),
            _ => None,
        },
        FieldKind::Time => time::read(text, zone).map(FilterValue::Time),
    }
}

/// Returns the path of another page of a list.
#[must_use]
pub fn page_path(resource: Resource, pairs: &Pairs, limit: u32, offset: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.0.iter().filter(|(name, _)| name != "limit" && name != "offset") {
        query.append_pair(name, value);
    }
    query.append_pair("limit", &limit.to_string()).append_pair("offset", &offset.to_string());
    format!("/api/v1/{}/?{}", resource.name(), query.finish())
}
