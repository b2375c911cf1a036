use super::{BODY, read};
use crate::server::http::dashboard::form::FormValues;

fn form(pairs: &[(&str, &str)]) -> FormValues {
    FormValues::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn a_template_is_read_with_the_line_ends_of_scripts() {
    let (values, project, body) =
        read(&form(&[("title", "shell"), ("project", "3"), ("body", "#!/bin/sh\r\n{{ content|safe }}\r\n")])).unwrap();
    assert_eq!((values.title.as_str(), project.get()), ("shell", 3));
    assert_eq!(body, "#!/bin/sh\n{{ content|safe }}\n");
    assert!(read(&form(&[("title", "plain"), ("project", "3"), ("body", BODY)])).is_ok());
}

#[test]
fn all_that_is_wrong_is_told() {
    let mistakes = read(&form(&[("title", "a\u{7}"), ("body", "{{ content"), ("notification_addresses", "me")]));
    let mistakes: Vec<&str> = mistakes.unwrap_err().into_iter().map(|(name, _)| name).collect();
    assert_eq!(mistakes, ["title", "notification_addresses", "project", "body"]);
}
