use proptest::prelude::*;

use super::*;
use crate::wire::uplink::MAX_UP;

fn bundle(messages: &[Vec<u8>], limit: usize) -> Bundle {
    let mut bundle = Bundle::of(messages[0].clone(), limit);
    for message in &messages[1..] {
        assert!(bundle.has_room(message.len()));
        bundle.push(message.clone());
    }
    bundle
}

#[test]
fn a_bundle_is_a_list_of_lengths_and_the_messages_behind_it() {
    let messages = [b"{\"call\":1}\nab".to_vec(), b"{}".to_vec()];
    let encoded = bundle(&messages, MAX_UP).encode();
    assert_eq!(encoded, b"{\"bundle\":[13,2]}\n{\"call\":1}\nab{}");
    assert_eq!(unbundled(&encoded), Ok(vec![&messages[0][..], &messages[1][..]]));
}

#[test]
fn a_message_that_is_alone_stays_as_it_is() {
    let alone = b"{\"call\":1}\nab".to_vec();
    assert_eq!(bundle(std::slice::from_ref(&alone), MAX_UP).encode(), alone);
    assert_eq!(unbundled(&alone), Ok(vec![&alone[..]]));
    assert_eq!(unbundled(b""), Ok(vec![&b""[..]]));
}

#[test]
fn a_bundle_is_bounded_in_number_and_in_bytes() {
    let mut many = Bundle::of(vec![b'x'], MAX_UP);
    (1..MAX_BUNDLE).for_each(|_| many.push(vec![b'x']));
    assert!(!many.has_room(1));
    assert_eq!(unbundled(&many.encode()).map(|messages| messages.len()), Ok(MAX_BUNDLE));
    let limit = MAX_HEAD + 10;
    let full = bundle(&[vec![b'x'; 4], vec![b'y'; 6]], limit);
    assert!(!full.has_room(1));
    assert!(full.encode().len() <= limit);
    assert!(!Bundle::of(vec![b'x'; 100], 10).has_room(0), "what is too long goes alone");
}

#[test]
fn a_hostile_bundle_is_refused_as_a_whole() {
    let long = format!("{{\"bundle\":[{}]}}\n", "0,".repeat(MAX_HEAD));
    let many = format!("{{\"bundle\":[{}]}}\n", vec!["0"; MAX_BUNDLE + 1].join(","));
    let table: &[(&[u8], BadBundle)] = &[
        (b"{\"bundle\":[]}\n", BadBundle::Count(0)),
        (many.as_bytes(), BadBundle::Count(MAX_BUNDLE + 1)),
        (long.as_bytes(), BadBundle::Head),
        (b"{\"bundle\":[1", BadBundle::Head),
        (b"{\"bundle\":[1]}x", BadBundle::Head),
        (b"{\"bundle\":[-1]}\nx", BadBundle::Head),
        (b"{\"bundle\":[+1]}\nx", BadBundle::Head),
        (b"{\"bundle\":[1,]}\nx", BadBundle::Head),
        (b"{\"bundle\":[1.0]}\nx", BadBundle::Head),
        (b"{\"bundle\":[99999999999999999999999]}\nx", BadBundle::Head),
        (b"{\"bundle\":[\xff]}\nx", BadBundle::Head),
        (b"{\"bundle\":[18446744073709551615,1]}\nxy", BadBundle::Lengths),
        (b"{\"bundle\":[1]}\nxy", BadBundle::Lengths),
        (b"{\"bundle\":[1,2]}\nxy", BadBundle::Lengths),
        (b"{\"bundle\":[16]}\n{\"bundle\":[1]}\nx", BadBundle::Nested),
    ];
    for (message, refusal) in table {
        assert_eq!(unbundled(message), Err(*refusal), "{:?}", message.escape_ascii().to_string());
    }
}

proptest! {
    #[test]
    fn whatever_is_bundled_comes_out_again(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..MAX_BUNDLE),
    ) {
        // No message is a bundle itself: heads are made by this program.
        prop_assume!(messages.iter().all(|message| !message.starts_with(BEGINNING)));
        let encoded = bundle(&messages, MAX_UP).encode();
        let found: Vec<Vec<u8>> = unbundled(&encoded).unwrap().into_iter().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(found, messages);
    }

    #[test]
    fn no_bytes_behind_the_beginning_of_a_bundle_make_more_than_it_has(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = [BEGINNING, &body].concat();
        if let Ok(messages) = unbundled(&message) {
            prop_assert!(messages.len() <= MAX_BUNDLE);
            prop_assert!(messages.iter().map(|message| message.len()).sum::<usize>() < message.len());
        }
    }
}
