//! Formats that query and header ask for.

use super::*;

fn by_query(query: &str) -> Result<Format, &'static str> {
    wanted(&Pairs::of(query), Some("text/html"))
}

#[test]
fn the_query_comes_before_the_header() {
    assert_eq!(by_query("format=json"), Ok(Format::Json));
    assert_eq!(by_query("format=xml"), Ok(Format::Unmade));
    assert_eq!(by_query("format=nonsense"), Ok(Format::Page));
    assert_eq!(by_query("callback=a.b_1"), Ok(Format::Script("a.b_1".to_owned())));
    for evil in ["callback=", "callback=a(", "callback=1a", "callback=a..b", "callback=a;b"] {
        assert!(by_query(evil).is_err(), "{evil}");
    }
}

#[test]
fn the_header_is_read_as_the_original_reads_it() {
    let rows = [
        ("*/*", Ok(Format::Json)),
        ("*", Ok(Format::Json)),
        ("application/*", Ok(Format::Json)),
        ("text/html", Ok(Format::Page)),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Ok(Format::Page)),
        ("application/json;q=0.1,text/html", Ok(Format::Page)),
        ("application/json;q=0.9, text/html;q=0.9", Ok(Format::Json)),
        ("application/json;q=0", Ok(Format::Json)),
        ("application/xml", Ok(Format::Unmade)),
        ("image/png", Ok(Format::Json)),
        ("nonsense", Err("Invalid Accept header")),
        ("", Err("Invalid Accept header")),
    ];
    for (accept, format) in rows {
        assert_eq!(wanted(&Pairs::of(""), Some(accept)), format, "{accept}");
    }
    assert_eq!(wanted(&Pairs::of(""), None), Ok(Format::Json));
}
