use super::FormReader;
use crate::server::http::dashboard::form::FormValues;

fn form(pairs: &[(&str, &str)]) -> FormValues {
    FormValues::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn mistakes_are_collected_and_empty_is_nothing() {
    let form = form(&[("a", ""), ("b", " 7 "), ("c", "-1"), ("d", "1.5"), ("e", "4294967296")]);
    let mut reader = FormReader::of(&form);
    assert_eq!((reader.count("a"), reader.count("b"), reader.count("none")), (None, Some(7), None));
    for name in ["c", "d", "e"] {
        assert_eq!(reader.count(name), None);
    }
    let names: Vec<&str> = reader.done(Some(())).unwrap_err().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["c", "d", "e"]);
}

#[test]
fn a_description_has_an_end() {
    let long = "ä".repeat(10_001);
    let form = form(&[("title", "x"), ("description", &long)]);
    let mut reader = FormReader::of(&form);
    assert!(reader.entity_form().is_none());
    let mistakes = reader.done(Some(())).unwrap_err();
    assert_eq!(mistakes, [("description", "10001 characters are too many; 10000 are allowed".to_owned())]);
}
