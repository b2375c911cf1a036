use super::{FieldChoice, FieldGroup, FieldInput, FormField, mistake_list, render_fields};
use crate::server::http::dashboard::form::FormValues;

fn groups() -> Vec<FieldGroup> {
    let choices = vec![FieldChoice::new(1, "One"), FieldChoice::new(2, "<b>Two</b>")];
    vec![FieldGroup {
        title: "Things",
        fields: vec![
            FormField::new("title", "Title", FieldInput::Line).hint("What it is called."),
            FormField::new("number", "Number", FieldInput::Number),
            FormField::new("text", "Text", FieldInput::Text),
            FormField::new("script", "Script", FieldInput::Script),
            FormField::new("tick", "Tick", FieldInput::Tick),
            FormField::new("one", "One", FieldInput::One(choices.clone())),
            FormField::new("some", "Some", FieldInput::Some(choices)),
        ],
    }]
}

fn form(pairs: &[(&str, &str)]) -> FormValues {
    FormValues::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn what_was_typed_stays_and_what_is_wrong_stands_beside_it() {
    let evil = "</textarea><script>alert(1)</script>\"";
    let typed =
        form(&[("title", evil), ("text", evil), ("script", "\n  a"), ("tick", "yes"), ("one", "2"), ("some", "1")]);
    let mistakes = vec![("title", "not <this>".to_owned()), ("", "nor that".to_owned())];
    let page = render_fields(&groups(), &typed, &mistakes).to_string();
    insta::assert_snapshot!(page);
    assert!(!page.contains("<script>") && !page.contains("<b>"));
    let told = mistake_list(&groups(), &mistakes);
    assert_eq!(told[0].get_attr("label").unwrap().to_string(), "Title");
    assert!(told[1].get_attr("label").unwrap().is_none());
}
