use super::TitleSearch;

#[test]
fn letters_are_found_in_any_case_of_every_script() {
    for (sought, text) in [
        ("night", "NIGHTLY"),
        ("übers", "Täglich ÜBERSICHT"),
        ("GROSSE", "große Sicherung"),
        ("große", "GROSSE SICHERUNG"),
        ("ОТЧЁТ", "ночной отчёт"),
        ("οδός", "ΟΔΌΣ"),
        (" night ", "nightly"),
        ("", "anything"),
        ("100 %", "at 100 %"),
    ] {
        assert!(TitleSearch::new(sought).is_in(text), "{sought} in {text}");
    }
    assert!(!TitleSearch::new("u").is_in("Ü"));
    assert!(!TitleSearch::new("%").is_in("nightly"));
}
