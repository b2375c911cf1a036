//! Tests that a stream is redacted as the whole text would be, however it is cut.

use proptest::prelude::*;

use super::*;

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(text.as_bytes().to_vec())).collect()
}

fn redactor(texts: &[&str]) -> Redactor {
    Redactor::new(&secrets(texts)).expect("few secrets").expect("at least one")
}

fn in_pieces(redactor: &mut Redactor, pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(redactor.pass(piece));
    }
    out.extend_from_slice(redactor.finish());
    out
}

/// Reference implementation: marks every byte of every occurrence in the whole text.
fn as_a_whole(text: &[u8], secrets: &[Vec<u8>]) -> Vec<u8> {
    let mut covered = vec![false; text.len()];
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        for at in 0..text.len() {
            if text[at..].starts_with(secret) {
                covered[at..at + secret.len()].fill(true);
            }
        }
    }
    let mut out = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        match (covered[at], at > 0 && covered[at - 1]) {
            (false, _) => out.push(*byte),
            (true, false) => out.extend_from_slice(MASK),
            (true, true) => {}
        }
    }
    out
}

#[test]
fn every_occurrence_becomes_a_mask() {
    let texts: [(&[&str], &str, &str); 9] = [
        (&["hunter2"], "no such word", "no such word"),
        (&["hunter2"], "the word is hunter2.", "the word is ****."),
        (&["hunter2"], "hunter2", "****"),
        (&["hunter2"], "hunter2hunter2 hunter2", "**** ****"),
        (&["hunter2"], "hunterhunter2", "hunter****"),
        (&["abcdef", "cdefgh"], "abcdefgh", "****"),
        (&["abc", "abcdef"], "abcdef abcdex", "**** ****dex"),
        (&["aXa"], "aXaXa", "****"),
        (&["geheim\u{df}"], "das geheim\u{df}e Wort", "das ****e Wort"),
    ];
    for (secrets, text, redacted) in texts {
        let out = in_pieces(&mut redactor(secrets), &[text.as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&out), redacted, "{text}");
    }
}

#[test]
fn without_secrets_there_is_nothing_to_do() {
    assert!(Redactor::new(&[]).expect("nothing").is_none());
    assert!(Redactor::new(&secrets(&[""])).expect("nothing").is_none());
}

#[test]
fn only_what_may_be_a_secret_is_held_back() {
    let mut redactor = redactor(&["hunter2"]);
    assert_eq!(redactor.pass(b"a line\n"), b"a line\n");
    assert_eq!(redactor.pass(b"an h"), b"an ");
    assert_eq!(redactor.pass(b"unter"), b"");
    assert_eq!(redactor.pass(b" of games hunt"), b"hunter of games ");
    assert_eq!(redactor.pass(b"er2"), b"****");
    assert_eq!(redactor.pass(b"hunter2"), b"");
    assert_eq!(redactor.pass(b"!hun"), b"!");
    assert_eq!(redactor.finish(), b"hun");
    assert_eq!(redactor.finish(), b"");
}

#[test]
fn a_stream_of_nothing_but_the_secret_is_one_mask_and_takes_no_memory() {
    let mut redactor = redactor(&["hunter2"]);
    let mut out = Vec::new();
    for _ in 0..1000 {
        out.extend_from_slice(redactor.pass(b"hunter2hunter2hun"));
        out.extend_from_slice(redactor.pass(b"ter2"));
    }
    out.extend_from_slice(redactor.finish());
    assert_eq!(out, MASK);
    assert!(redactor.held.capacity() < 1000 && redactor.out.capacity() < 1000);
}

/// Generates texts of few letters, in which short secrets occur, overlap and nearly occur.
fn word(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'c'), Just(0xc3)], length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn however_it_is_cut_it_is_the_redacted_whole(
        pieces in proptest::collection::vec(word(0..30), 0..12),
        words in proptest::collection::vec(word(0..7), 0..5),
    ) {
        let whole = pieces.concat();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let secrets: Vec<Secret> = words.iter().cloned().map(Secret::new).collect();
        let expected = as_a_whole(&whole, &words);
        match Redactor::new(&secrets).expect("few secrets") {
            None => prop_assert_eq!(expected, whole),
            Some(mut redactor) => {
                prop_assert_eq!(in_pieces(&mut redactor, &[&whole]), &expected[..]);
                prop_assert_eq!(in_pieces(&mut redactor, &pieces), &expected[..]);
                let bytes: Vec<&[u8]> = whole.chunks(1).collect();
                prop_assert_eq!(in_pieces(&mut redactor, &bytes), &expected[..]);
            }
        }
    }

    #[test]
    fn little_is_held_back_and_nothing_of_a_secret_is_given_out(
        before in word(0..40), secret in word(1..9), after in word(0..40), cut in any::<prop::sample::Index>(),
    ) {
        let whole = [before.as_slice(), &secret, &after].concat();
        let mut redactor = Redactor::new(&[Secret::new(secret.clone())]).expect("one").expect("one");
        let (first, second) = whole.split_at(cut.index(whole.len() + 1));
        let mut out = redactor.pass(first).to_vec();
        prop_assert!(redactor.held.len() < secret.len());
        out.extend_from_slice(redactor.pass(second));
        prop_assert!(redactor.held.len() < secret.len());
        out.extend_from_slice(redactor.finish());
        prop_assert_eq!(out, as_a_whole(&whole, &[secret]));
    }
}
