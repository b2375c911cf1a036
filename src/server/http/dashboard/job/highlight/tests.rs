use proptest::prelude::*;

use super::{TokenKind, tokens};

fn shown(text: &str) -> String {
    let piece = |(kind, text): &(TokenKind, &str)| match kind.class() {
        Some(class) => format!("[{class} {text}]"),
        None => (*text).to_owned(),
    };
    tokens(text).iter().map(piece).collect()
}

#[test]
fn a_shell_script_has_its_colours() {
    insta::assert_snapshot!(shown(r#"#!/bin/sh -e
# takes "everything" along
for file in /srv/*; do
    tar cf "$HOME/$file.tar" ${file} # one by one
    echo 'plain $HOME' don\'t "quoted \" too"
    [ $# -gt 0 ] && url=http://host/#part; iffy=1
done
"#), @r#"
    [shebang #!/bin/sh -e]
    [comment # takes "everything" along]
    [word for] file [word in] /srv/*; [word do]
        tar cf [quoted "$HOME/$file.tar"] [variable ${file}] [comment # one by one]
        echo [quoted 'plain $HOME'] don\'t [quoted "quoted \" too"]
        [ [variable $#] -gt 0 ] && url=http://host/#part; iffy=1
    [word done]
    "#);
}

#[test]
fn a_python_script_has_its_colours() {
    insta::assert_snapshot!(shown("#!/usr/bin/env python3\nimport os\n\"\"\"A 'text'\nof lines.\"\"\"\nif os.name == 'posix':\n    print(\"a\")  # fine\n"), @r#"
    [shebang #!/usr/bin/env python3]
    [word import] os
    [quoted """A 'text'
    of lines."""]
    [word if] os.name == [quoted 'posix']:
        print([quoted "a"])  [comment # fine]
    "#);
}

#[test]
fn tags_of_a_template_stand_out_everywhere() {
    insta::assert_snapshot!(shown("#!/bin/sh\n{% if x %}{{ content|safe }}{% endif %}\nX=\"{{ y }} z\" # {{ y }}\n{ echo; }\n{# note #} {{ open\n"), @r#"
    [shebang #!/bin/sh]
    [tag {% if x %}][tag {{ content|safe }}][tag {% endif %}]
    X=[quoted "][tag {{ y }}][quoted  z"] [comment # ][tag {{ y }}]
    { echo; }
    [tag {# note #}] {{ open
    "#);
}

#[test]
fn an_apostrophe_does_not_colour_what_follows() {
    let text = format!("cat <<END\nit's{}\nEND\necho 'x'\n", "\n".repeat(20));
    assert!(tokens(&text).iter().filter(|(kind, _)| *kind == TokenKind::Quoted).all(|(_, text)| *text == "'x'"));
}

proptest! {
    #[test]
    fn the_pieces_are_the_text(text in "[a-z #\"'\\\\${}%!\n;|ä]{0,60}") {
        let together: String = tokens(&text).into_iter().map(|(_, piece)| piece).collect();
        prop_assert_eq!(together, text);
    }
}
