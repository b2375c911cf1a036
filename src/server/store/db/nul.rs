//! NUL characters in texts, which PostgreSQL cannot hold: an escape that nothing gets lost by. Texts without NUL, so
//! nearly all, stay as they are.

use std::borrow::Cow;

/// Begins an escape: a character that stands for none, so that hardly any text has it.
const ESCAPE: char = '\u{10ffff}';
/// First byte of [`ESCAPE`] in UTF-8, by which ordinary texts are told without decoding them.
const FIRST_OF_ESCAPE: u8 = 0xf4;
/// Follows [`ESCAPE`] in place of NUL.
const NUL: char = '0';

/// Returns a text as PostgreSQL can hold it. Two texts are equal if and only if they are so encoded.
pub fn encode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == 0 || byte == FIRST_OF_ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + ESCAPE.len_utf8() + 1);
    for character in text.chars() {
        match character {
            '\0' => encoded.extend([ESCAPE, NUL]),
            ESCAPE => encoded.extend([ESCAPE, ESCAPE]),
            other => encoded.push(other),
        }
    }
    Cow::Owned(encoded)
}

/// Returns a text as it was before [`encode`].
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == FIRST_OF_ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ESCAPE => match characters.next() {
                Some(NUL) => decoded.push('\0'),
                Some(ESCAPE) | None => decoded.push(ESCAPE),
                // Nothing that was encoded has this; a text that somebody else wrote stays as it is.
                Some(other) => decoded.extend([ESCAPE, other]),
            },
            other => decoded.push(other),
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn every_text_comes_back_and_none_is_stored_with_nul() {
        let texts = [
            "",
            "plain",
            "\0",
            "a\0b\0",
            "\u{10ffff}",
            "\u{10ffff}0",
            "\u{10ffff}\0",
            "\0\u{10ffff}",
            "\u{10ffff}\u{10ffff}0",
        ];
        for text in texts {
            let encoded = encode(text);
            assert!(!encoded.contains('\0'), "{text:?}");
            assert_eq!(decode(&encoded), text);
        }
        let encoded: std::collections::BTreeSet<String> = texts.iter().map(|text| encode(text).into_owned()).collect();
        assert_eq!(encoded.len(), texts.len(), "no two texts become one");
    }

    #[test]
    fn an_ordinary_text_is_not_copied() {
        assert!(matches!(encode("caf\u{e9} \u{1f600}"), std::borrow::Cow::Borrowed(_)));
        assert!(matches!(decode("caf\u{e9} \u{1f600}"), std::borrow::Cow::Borrowed(_)));
        for text in ["\u{10ffff}", "\u{10ffff}x", "\u{100000}"] {
            assert_eq!(decode(text), text, "a text that somebody else wrote stays as it is");
        }
    }
}
