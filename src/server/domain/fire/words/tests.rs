use std::collections::BTreeSet;

use crate::server::domain::fire::sample;

#[test]
fn every_reason_has_its_own_words() {
    let said: Vec<String> =
        sample::reasons().iter().map(|reason| format!("{}: {reason}", reason.kind().word())).collect();
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "no two reasons read alike");
}
