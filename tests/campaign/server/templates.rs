//! Hostile templates: some that a server must take and render as they are meant, and some that it must refuse.

use fastrand::Rng;

/// How long a long template is, in bytes.
const LONG: usize = 300_000;

/// One that is taken, around a script for bash.
pub fn good(rng: &mut Rng) -> String {
    let all = [
        "{{ content|safe }}".to_owned(),
        "#!/bin/bash\n: ${#} ${#a[@]} ${a[#]} # {# not seen #} #}\n{{ content|safe }}\n".to_owned(),
        "#!/bin/bash\n{% if content %}{{ content|safe }}{% else %}exit 9{% endif %}\n".to_owned(),
        "#!/bin/bash\n{# a comment #}: {% comment %} {{ nothing }} {% endcomment %}\n{{ content|safe }}\nexit 9"
            .to_owned(),
        "#!/bin/bash\n# {# { { {% { %} }} #} {# open\n{% autoescape false %}{{ content }}{% endautoescape %}\n"
            .to_owned(),
        "#!/bin/bash\n: '{% verbatim %}{{ content }} {% if %}{% endverbatim %}'\n{{ content|safe }}\n".to_owned(),
        "#!/bin/bash\r\n: typed elsewhere\r\n{{ content|safe }}\r\n".to_owned(),
        format!("#!/bin/bash\n# {}\n{{{{ content|safe }}}}\n", "{ # long } ".repeat(LONG / 11)),
    ];
    all[rng.usize(..all.len())].clone()
}

/// One that is refused: it is endless, deep, greedy, too long, not to be read, or executes no script.
pub fn bad(rng: &mut Rng) -> String {
    let around = |before: &str, after: &str| {
        format!("{{{{ {}1{} }}}}{{{{ content|safe }}}}", before.repeat(8000), after.repeat(8000))
    };
    let all = [
        String::new(),
        "#!/bin/bash\necho no script\n".to_owned(),
        "{# {{ content|safe }} #}".to_owned(),
        "{% if content %}{{ content|safe }}".to_owned(),
        "{{ content|safe|nothing }}".to_owned(),
        "{% include '/etc/passwd' %}{{ content|safe }}".to_owned(),
        around("not ", ""),
        around("(", ")"),
        around("[", "]"),
        format!("{}{{{{ content|safe }}}}{}", "{% if 1 %}".repeat(8000), "{% endif %}".repeat(8000)),
        "x".repeat(1024 * 1024 + 1) + "{{ content|safe }}",
    ];
    all[rng.usize(..all.len())].clone()
}
