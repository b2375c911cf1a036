use super::Reading;
use crate::server::http::dashboard::form::Filled;

fn form(pairs: &[(&str, &str)]) -> Filled {
    Filled::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn mistakes_are_collected_and_empty_is_nothing() {
    let form = form(&[("a", ""), ("b", " 7 "), ("c", "-1"), ("d", "1.5"), ("e", "4294967296")]);
    let mut reading = Reading::of(&form);
    assert_eq!((reading.count("a"), reading.count("b"), reading.count("none")), (None, Some(7), None));
    for name in ["c", "d", "e"] {
        assert_eq!(reading.count(name), None);
    }
    let names: Vec<&str> = reading.done(Some(())).unwrap_err().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["c", "d", "e"]);
}

#[test]
fn a_description_has_an_end() {
    let long = "ä".repeat(10_001);
    let form = form(&[("title", "x"), ("description", &long)]);
    let mut reading = Reading::of(&form);
    assert!(reading.sheet().is_none());
    let mistakes = reading.done(Some(())).unwrap_err();
    assert_eq!(mistakes, [("description", "10001 characters are too many; 10000 are allowed".to_owned())]);
}
