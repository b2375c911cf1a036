//! Body formats: decides from the query or the `Accept` header, as the original reads them, in which format a body is
//! wanted. Pure.

use super::filter::Pairs;

#[cfg(test)]
mod tests;

/// Format of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, which is the default.
    Json,
    /// JSON as the argument of a JavaScript function of this name (JSONP).
    Script(String),
    /// HTML, for which the original has a single page that says there is none.
    Page,
    /// Format that the original offers and this server cannot make.
    Unmade,
}

/// Offered formats by their media types, the preferred one last.
const OFFERED: &[(&str, &str, Format)] = &[
    ("application", "x-plist", Format::Unmade),
    ("text", "html", Format::Page),
    ("text", "yaml", Format::Unmade),
    ("application", "xml", Format::Unmade),
    ("application", "json", Format::Json),
];

/// Returns the wanted format.
///
/// # Errors
/// If the callback name or the header cannot be read.
pub fn wanted(pairs: &Pairs, accept: Option<&str>) -> Result<Format, &'static str> {
    match pairs.last("format") {
        Some("json") => return Ok(Format::Json),
        Some("html") => return Ok(Format::Page),
        Some("xml" | "yaml" | "plist") => return Ok(Format::Unmade),
        _ => {}
    }
    if let Some(function) = pairs.last("callback") {
        let is_name = |name: &str| {
            let mut letters = name.chars();
            letters.next().is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '$'))
                && letters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
        };
        let is_function = function.split('.').all(is_name);
        return is_function.then(|| Format::Script(function.to_owned())).ok_or("JSONP callback name is invalid.");
    }
    match accept {
        None | Some("*/*") => Ok(Format::Json),
        Some(accept) => best(accept),
    }
}

/// Media range of an `Accept` header, with its quality in thousandths.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    quality: u16,
}

/// Returns the offered format that a header fits best: by how exactly it is named, then by its quality.
fn best(accept: &str) -> Result<Format, &'static str> {
    let ranges = accept.split(',').map(range).collect::<Option<Vec<_>>>().ok_or("Invalid Accept header")?;
    let fit = |main: &str, sub: &str| {
        let fits = ranges.iter().filter(|range| matches(range.main, main) && matches(range.sub, sub));
        let exact = |range: &Range<'_>| 100 * u16::from(range.main == main) + 10 * u16::from(range.sub == sub);
        // Of ranges that fit equally well the first counts; `max_by_key` takes the last, hence the reversed order.
        fits.rev().max_by_key(|range| exact(range)).map(|range| (exact(range), range.quality))
    };
    let fitting = OFFERED.iter().map(|(main, sub, format)| (fit(main, sub), format));
    Ok(match fitting.max_by_key(|(fit, _)| *fit) {
        // A quality of 0 refuses a format; JSON is the answer then, as it is where no format fits.
        Some((Some((_, 1..)), format)) => format.clone(),
        _ => Format::Json,
    })
}

fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (main, sub) = match parts.next()? {
        "*" => ("*", "*"),
        kind => kind.split_once('/')?,
    };
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
    // A quality out of range counts as 1, as in the original.
    let quality = quality.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0);
    let quality = (quality * 1000.0) as u16;
    Some(Range { main: main.trim(), sub: sub.trim(), quality })
}

fn matches(range: &str, offered: &str) -> bool {
    range == "*" || range == offered
}
