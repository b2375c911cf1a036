//! Tests of the state that a shim keeps between runs.

use super::*;

fn tools() -> Tools {
    Tools::new(None, super::super::memory::Score::open())
}

#[test]
fn what_an_order_sets_takes_the_place_of_ours() {
    let mut tools = tools();
    tools.environment = ["PATH=/bin", "A=1", "AB=2", "EMPTY="].map(|pair| CString::new(pair).expect("no NUL")).into();
    let kept = |names: &[&str]| {
        let set: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "new".to_owned())).collect();
        tools.environment(&set).map(|kept| kept.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&[]), ["PATH=/bin", "A=1", "AB=2", "EMPTY="]);
    assert_eq!(kept(&["A"]), ["PATH=/bin", "AB=2", "EMPTY="]);
    assert_eq!(kept(&["EMPTY", "NEW", "PATH"]), ["A=1", "AB=2"]);
}

fn redacted(tools: &mut Tools, text: &[u8]) -> Vec<u8> {
    let Some(redactor) = tools.reading().1 else { return text.to_owned() };
    redactor.pass(text).to_owned()
}

#[test]
fn each_order_has_its_own_secrets() {
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    let mut tools = tools();
    for (secrets, shown) in [
        (vec![secret("one")], "**** two"),
        (vec![secret("one"), secret("")], "**** two"),
        (vec![secret("two")], "one ****"),
        (vec![secret("two"), secret("one")], "**** ****"),
        (vec![secret("")], "one two"),
        (vec![], "one two"),
        (vec![secret("one")], "**** two"),
    ] {
        tools.redact(&secrets).expect("few");
        let mut out = redacted(&mut tools, b"one two");
        if let Some(redactor) = tools.reading().1 {
            out.extend_from_slice(redactor.finish());
        }
        assert_eq!(String::from_utf8_lossy(&out), shown);
    }
}

#[test]
fn nothing_of_one_run_gets_into_the_output_of_the_next() {
    let secrets = [Secret::new(b"secret".to_vec())];
    let mut tools = tools();
    for _ in 0..3 {
        tools.redact(&secrets).expect("one");
        assert_eq!(redacted(&mut tools, b"text sec"), b"text ", "the rest is held back, and never asked for");
    }
    tools.redact(&secrets).expect("one");
    assert_eq!(redacted(&mut tools, b"ret"), b"ret");
}
