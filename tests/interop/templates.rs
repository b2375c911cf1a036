//! Templates: what the original makes of one with the script of a job, we make of it, too; where not, it is listed here.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use jobrunner::server::domain::script::render;

use crate::peer::Peer;

/// The script of the job.
const SCRIPT: &str = "#!/bin/sh\necho \"<hello> & 'you'\" ${#} {{ content }} {# no #}\n";

/// Templates, by what they are there for.
const TEMPLATES: &[(&str, &str)] = &[
    ("only the script", "{{ content|safe }}"),
    ("the script escaped", "{{ content }}"),
    ("blanks within a tag", "{{content|safe}} {{   content|safe   }}"),
    ("twice", "{{ content|safe }}\n{{ content|safe }}"),
    ("before and after", "#!/bin/bash\nset -eu\n{{ content|safe }}\necho done\n"),
    ("no end of line", "#!/bin/bash\n{{ content|safe }}"),
    ("ends of lines of Windows", "#!/bin/bash\r\n{{ content|safe }}\r\n"),
    ("empty", ""),
    ("white space alone", " \n\t\n"),
    ("nothing to fill in", "#!/bin/sh\necho done\n"),
    ("letters of the world", "# überäll → 日本語 😀\n{{ content|safe }}\n# é\n"),
    ("a shell's count of arguments", "echo ${#}\n{{ content|safe }}\n"),
    ("a shell's length of a list", "echo ${#a[@]} ${#a}\n{{ content|safe }}\n"),
    ("a shell's counts before a comment", "echo ${#}\n# {# gone #}\n{{ content|safe }}\n"),
    ("a shell's counts on one line", "echo ${#a} # {{ content|safe }} #}\n"),
    ("a shell's function", "f() { echo {a,b}; }; f {{ content|safe }}"),
    ("braces of awk", "awk '{ print $1 }' | sed 's/{/}/' {{ content|safe }}"),
    ("braces of Python", "d = {'a': {'b': 1}}\n{{ content|safe }}"),
    ("a percent sign", "date +%Y-%m-%d %} %{ {{ content|safe }}"),
    ("a comment", "a{# b #}c"),
    ("comments on one line", "a{# b #}c{# d #}e"),
    ("an empty comment", "a{##}b"),
    ("a comment over lines", "a {# b\nc #} d {{ content|safe }}"),
    ("a comment with a tag in it", "{# {{ content }} #}x"),
    ("a tag with a comment in it", "{{ content|safe {# b #} }}"),
    ("a block of comment", "a{% comment %} {{ x|y }} {% if %} b\n{% endcomment %}c"),
    ("a block of comment with a note", "{% comment \"why\" %}x{% endcomment %}y"),
    ("a value over lines", "{{ content\n}} b"),
    ("a block over lines", "{% if content\n%} b"),
    ("a value that does not end", "{{ content|safe } }"),
    ("a block that does not end", "{% if content"),
    ("an end without a beginning", "a }} b %} c #} {{ content|safe }}"),
    ("an empty value", "{{ }}"),
    ("an empty block", "{% %}"),
    ("three braces", "{{{ content }}}"),
    ("an unknown name", "[{{ nothing }}]"),
    ("an unknown name's attribute", "[{{ nothing.at.all }}]"),
    ("an unknown name that is filtered", "[{{ nothing|upper }}]"),
    ("a default for an unknown name", "[{{ nothing|default:\"x\" }}]"),
    ("a default", "[{{ content|default:\"x\"|safe }}]"),
    ("upper", "{{ content|upper|safe }}"),
    ("lower", "{{ content|lower|safe }}"),
    ("length", "{{ content|length }}"),
    ("escape", "{{ content|escape }}"),
    ("escape twice", "{{ content|escape|escape }}"),
    ("safe and escape", "{{ content|safe|escape }}"),
    ("force_escape", "{{ content|force_escape }}"),
    ("an unknown filter", "{{ content|nonsense }}"),
    ("an unknown block", "{% nonsense %}"),
    ("if", "{% if content %}yes{% endif %}"),
    ("if else", "{% if content %}yes{% else %}no{% endif %}"),
    ("if not", "{% if not content %}yes{% else %}no{% endif %}"),
    ("if an unknown name", "{% if nothing %}yes{% else %}no{% endif %}"),
    ("if equal", "{% if content == \"a\" %}yes{% else %}no{% endif %}"),
    ("if and or", "{% if content and nothing or content %}yes{% endif %}"),
    ("if in", "{% if \"hello\" in content %}yes{% else %}no{% endif %}"),
    ("if without an end", "{% if content %}yes"),
    ("an end of if without an if", "yes{% endif %}"),
    ("ifs", "{% if content %}{% if nothing %}a{% else %}b{% endif %}c{% endif %}"),
    ("white space around blocks", "{% if content %}\n  yes\n{% endif %}\nend\n"),
    ("for", "{% for a in nothing %}{{ a }}{% endfor %}end"),
    ("for over letters", "{% for a in \"abc\" %}{{ a }},{% endfor %}"),
    ("for with a counter", "{% for a in \"abc\" %}{{ forloop.counter }}{% endfor %}"),
    ("for empty", "{% for a in nothing %}{{ a }}{% empty %}none{% endfor %}"),
    ("with", "{% with content as a %}{{ a|safe }}{% endwith %}"),
    ("with equals", "{% with a=content %}{{ a|safe }}{% endwith %}"),
    ("autoescape off", "{% autoescape off %}{{ content }}{% endautoescape %}"),
    ("autoescape on", "{% autoescape on %}{{ content }}{% endautoescape %}"),
    ("verbatim", "{% verbatim %}{{ content }}{% endverbatim %}"),
    ("templatetag", "{% templatetag openvariable %}"),
    ("a text", "{{ \"<b>\" }}"),
    ("a number", "{{ 12 }}"),
    ("an attribute of the script", "[{{ content.nothing }}]"),
    ("a letter of the script", "{{ content.0 }}"),
    ("now", "{% now \"Y\" %}x"),
    ("include", "{% include \"/etc/passwd\" %}"),
    ("load", "{% load i18n %}x"),
];

/// Where we differ, and why. One that does not any more is to be taken off.
const DIFFERENT: &[(&str, &str)] = &[
    ("a default for an unknown name", "arguments of filters are in brackets; this is refused when it is saved"),
    ("a default", "arguments of filters are in brackets; this is refused when it is saved"),
    ("for with a counter", "the counter is called loop.index; forloop is an unknown name"),
    ("for empty", "there is no such block; it is refused when it is saved"),
    ("with", "a value is given as a = content; this is refused when it is saved"),
    ("verbatim", "the original has no such block; later ones of its engine have"),
    ("templatetag", "there is no such block; it is refused when it is saved"),
    ("a text", "texts in tags are escaped like all others"),
    ("now", "there is no such block; it is refused when it is saved"),
    ("include", "there is no such block; it is refused when it is saved"),
    ("load", "there is no such block; it is refused when it is saved"),
];

/// What the original makes of each; nothing where it fails.
fn of_original(peer: &Peer) -> Vec<Option<String>> {
    let pairs: Vec<_> = TEMPLATES.iter().map(|(_, body)| [*body, SCRIPT]).collect();
    let mut command = peer.command("render");
    command.env("JOB_RUNNER_PEER_DB", peer.database());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the original");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(serde_json::to_string(&pairs).expect("JSON").as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    serde_json::from_slice(&output.stdout).expect("a list")
}

#[test]
fn templates_are_rendered_as_by_the_original_or_the_difference_is_listed() {
    let Some(peer) = Peer::installed() else {
        crate::skip::skip("no comparison of templates: there is no Python 2.7");
        return;
    };
    let listed: BTreeMap<_, _> = DIFFERENT.iter().copied().collect();
    let mut wrong = Vec::new();
    for ((name, body), theirs) in TEMPLATES.iter().zip(of_original(peer)) {
        let ours = render(body, SCRIPT).ok();
        match (ours == theirs, listed.get(name)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => wrong.push(format!("{name}: we do as the original; it is listed")),
            (false, None) => wrong.push(format!("{name}: {body:?}\n  theirs {theirs:?}\n  ours   {ours:?}")),
        }
    }
    let unknown = listed.keys().filter(|name| !TEMPLATES.iter().any(|(known, _)| known == *name));
    wrong.extend(unknown.map(|name| format!("{name}: is listed, and no template is called so")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
