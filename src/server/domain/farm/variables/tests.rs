use proptest::prelude::*;
use serde_json::json;

use super::*;

fn variables() -> Variables {
    let of = |linux: &str, windows: &str| {
        BTreeMap::from([("linux".to_owned(), linux.to_owned()), ("windows".to_owned(), windows.to_owned())])
    };
    Variables::new(BTreeMap::from([
        ("blender".to_owned(), of("/opt/blender", "C:/blender.exe")),
        ("job".to_owned(), of("{blender}", "")),
    ]))
}

#[test]
fn names_in_braces_get_the_value_of_the_platform() {
    for (text, linux) in [
        ("", ""),
        ("{blender} -b", "/opt/blender -b"),
        ("{blender}{blender}", "/opt/blender/opt/blender"),
        ("{unknown} {blender}", "{unknown} /opt/blender"),
        ("{job}", "{blender}"),
        ("{{blender}}", "{/opt/blender}"),
        ("{a {blender}", "{a /opt/blender"),
        ("{blender", "{blender"),
        ("}{", "}{"),
        ("{}", "{}"),
        ("é{blender}é", "é/opt/blenderé"),
    ] {
        assert_eq!(variables().expand(text, "linux"), linux, "{text}");
    }
    assert_eq!(variables().expand("{blender}", "windows"), "C:/blender.exe");
    assert_eq!(variables().expand("{blender}", "darwin"), "{blender}");
}

#[test]
fn only_texts_of_the_settings_themselves_are_expanded() {
    let mut settings = json!({"cmd": "{blender}", "list": ["{blender}"], "n": 1}).as_object().unwrap().clone();
    variables().expand_settings(&mut settings, "linux");
    assert_eq!(Value::Object(settings), json!({"cmd": "/opt/blender", "list": ["{blender}"], "n": 1}));
}

proptest! {
    #[test]
    fn a_text_without_variables_stays_as_it_is(text in "[{}ab é]{0,30}") {
        prop_assert_eq!(variables().expand(&text, "linux"), text);
    }
}
