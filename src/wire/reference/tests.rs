use super::*;

#[test]
fn a_number_is_a_title_or_an_id_and_one_with_its_sign_is_an_id() {
    for (text, expected) in [
        ("5", Reference::Number(5)),
        ("#5", Reference::Id(5)),
        ("9223372036854775807", Reference::Number(i64::MAX)),
        ("backup.sh", Reference::Title("backup.sh")),
        ("backup #5", Reference::Title("backup #5")),
        ("", Reference::Title("")),
        ("#", Reference::Title("#")),
    ] {
        assert_eq!(Reference::parse(text), expected, "{text:?}");
    }
}

#[test]
fn only_the_usual_spelling_of_a_number_is_one() {
    for text in [
        "007",
        "+5",
        "-5",
        "0",
        "00",
        "5 ",
        " 5",
        "5.0",
        "5e0",
        "0x5",
        "٥",
        "9223372036854775808",
        "##5",
        "#05",
        "#+5",
        "# 5",
    ] {
        assert_eq!(Reference::parse(text), Reference::Title(text));
        assert_eq!(Reference::parse(text).id(), None, "{text:?}");
    }
}
