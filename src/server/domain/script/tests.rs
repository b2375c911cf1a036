use super::*;

fn with(body: &str) -> String {
    render(body, "echo <hello>").unwrap()
}

/// A shell says `${#}` and `${#a[@]}`; a comment of the original ends on its line.
#[test]
fn a_shell_keeps_its_text_around_the_script() {
    let body =
        "#!/bin/bash\necho ${#}\ntrap 'exit 3' EXIT\n{{ content|safe }}\necho ${#a[@]} ${a[#]}\n# {# not seen #}end\n";
    assert_eq!(with(body), "#!/bin/bash\necho ${#}\ntrap 'exit 3' EXIT\necho <hello>\necho ${#a[@]} ${a[#]}\n# end\n");
}

#[test]
fn tags_end_on_their_line_as_with_the_original() {
    for (body, wanted) in [
        ("a {# b\nc #} d", "a {# b\nc #} d"),
        ("a {{ content\n}} b", "a {{ content\n}} b"),
        ("a {% if content\n%} b", "a {% if content\n%} b"),
        ("{ {{ content }} }", "{ echo &lt;hello&gt; }"),
        ("{#}{{ content|safe }}", "{#}echo <hello>"),
        ("{# a #}{# b #}{{ content|safe }}", "echo <hello>"),
        ("{% comment %} {{ x }} {% if %} {% endcomment %}c", "c"),
        ("{% verbatim %}{{ content }} {# a #}{% endverbatim %}c", "{{ content }} {# a #}c"),
        ("{% if content %}y{% else %}n{% endif %}", "y"),
        ("{% autoescape false %}{{ content }}{% endautoescape %}\n", "echo <hello>\n"),
        ("{% autoescape off %}{{ content }}{% endautoescape %}\n", "echo <hello>\n"),
        ("{{ \"#!/bin/sh\" }}{{ nothing.at.all }}", "#!/bin/sh"),
    ] {
        assert_eq!(with(body), wanted, "{body:?}");
    }
}

#[test]
fn a_template_without_a_place_for_the_script_is_refused() {
    for body in ["", "#!/bin/sh\necho done\n", "{# {{ content }} #}", "{% if not content %}{{ content }}{% endif %}"] {
        assert_eq!(check(body), Err(TemplateError::NoContent), "{body:?}");
        assert!(render(body, "true").is_ok(), "{body:?}: one that is stored can still be read");
    }
    for body in ["{{ content }}", "{{content|safe}}", "{% if content %}{{ content|upper }}{% endif %}"] {
        assert_eq!(check(body), Ok(()), "{body:?}");
    }
}

/// Templates that once overflowed the stack of the parser and ended the process, and similar ones.
#[test]
fn deep_templates_are_refused_or_rendered_and_nothing_overflows() {
    let many = 8_000;
    let around = |before: &str, inner: &str, after: &str| {
        [1, 100, 200, many].map(|n| format!("{}{inner}{}{{{{ content }}}}", before.repeat(n), after.repeat(n)))
    };
    let inside = |before: &str, inner: &str, after: &str| {
        [1, 100, 240, 480, 960, many]
            .map(|n| format!("{{{{ {}{inner}{} }}}}{{{{ content }}}}", before.repeat(n), after.repeat(n)))
    };
    let shapes = [
        inside("not ", "1", "").to_vec(),
        inside("-", "1", "").to_vec(),
        inside("(", "1", ")").to_vec(),
        inside("[", "1", "]").to_vec(),
        inside("{1:", "1", "}").to_vec(),
        inside("", "content", ".a").to_vec(),
        inside("", "content", "|e").to_vec(),
        inside("", "content", "[0]").to_vec(),
        inside("", "content", "()").to_vec(),
        inside("1 if ", "1", " else 2").to_vec(),
        inside("", "1", " if 1 else 1").to_vec(),
        inside("", "1", " and 1").to_vec(),
        inside("", "1", " - 1").to_vec(),
        inside("", "1", " < 1").to_vec(),
        inside("", "1", " is not x").to_vec(),
        around("{% if 1 %}", "", "{% endif %}").to_vec(),
        around("{% for a in content %}", "", "{% endfor %}").to_vec(),
        around("{% with a = 1 %}", "", "{% endwith %}").to_vec(),
        around("{% if 0 %}{% elif 0 %}", "", "{% elif 1 %}{% endif %}").to_vec(),
        around("{% autoescape true %}", "", "{% endautoescape %}").to_vec(),
    ];
    for body in shapes.iter().flatten() {
        let shown: String = body.chars().take(30).collect();
        let result = check(body);
        assert!(body.len() < 20_000 || result.is_err(), "{shown}… of {} bytes", body.len());
    }
}

/// The engine's own delimiters are refused; characters for private use are text.
#[test]
fn text_cannot_be_taken_for_a_tag_of_the_engine() {
    assert_eq!(with("# \u{e000}% if x \u{e001}\n"), "# \u{e000}% if x \u{e001}\n");
    for body in ["\u{fdd0}{ content \u{fdd1}", "{{ content }}\u{fdd0}"] {
        assert!(matches!(check(body), Err(TemplateError::Unusable(_))), "{body:?}");
    }
    // What a job's script has is never looked at.
    assert_eq!(render("{{ content|safe }}", "\u{fdd0}% if \u{fdd1} {{ x }}").unwrap(), "\u{fdd0}% if \u{fdd1} {{ x }}");
}

/// The output is the only value that grows, and has a bound.
#[test]
fn a_template_makes_no_flood_out_of_little() {
    for body in [
        "{% set a = content ~ content %}{{ a }}",
        "{{ content * 1000000000 }}",
        "{% for a in range(1000000) %}{{ content }}{% endfor %}",
        "{{ content|replace('a', 'aaaa') }}",
    ] {
        assert!(matches!(check(body), Err(TemplateError::Unusable(_))), "{body}");
    }
    let flood = format!("{{% for a in content %}}{}{{% endfor %}}", "x".repeat(500_000));
    assert!(render(&flood, &"a".repeat(1_000)).is_err());
    assert_eq!(render(&"x".repeat(MAX_BODY + 1), ""), Err(TemplateError::TooLong(MAX_BODY + 1)));
}
