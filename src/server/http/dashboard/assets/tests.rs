use super::{ASSETS, tag};

/// The most that the whole dashboard may weigh, in bytes, with its largest page beside it.
const MOST: usize = 150_000;
/// Share of that weight for the largest page, in bytes.
const PAGE: usize = 50_000;

#[test]
fn all_of_it_is_light() {
    let weight: usize = ASSETS.iter().map(|(.., text)| text.len()).sum();
    assert!(weight < MOST - PAGE, "{weight} bytes");
}

#[test]
fn a_script_imports_what_is_here_and_nothing_else() {
    let modules = ASSETS.iter().filter(|(name, ..)| name.ends_with(".js"));
    let imports = modules.flat_map(|(_, _, text)| text.lines().filter(|line| line.starts_with("import ")));
    for line in imports {
        let from = line.rsplit_once("\"./").and_then(|(_, name)| name.strip_suffix("\";")).expect("one of ours");
        assert!(ASSETS.iter().any(|(name, ..)| *name == from), "{line}");
    }
    for (name, _, text) in ASSETS {
        for foreign in ["http://", "https://", "innerHTML", "eval(", "document.write"] {
            let found = text.replace("http://www.w3.org/2000/svg", "").contains(foreign);
            assert!(!found, "{name}: {foreign}");
        }
    }
}

#[test]
fn another_text_has_another_tag() {
    assert_eq!(tag("a"), tag("a"));
    assert_ne!(tag("a"), tag("b"));
    assert!(tag("a").starts_with('"') && tag("a").ends_with('"'));
}
