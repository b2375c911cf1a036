use super::{LETTERS, SECRET_LENGTH, new_secret, no_page};

#[test]
fn a_new_secret_has_64_letters_and_digits_and_is_another_each_time() {
    let secrets: Vec<_> = (0..50).map(|_| new_secret().expect("random numbers").expose().to_vec()).collect();
    assert!(secrets.iter().all(|secret| secret.len() == SECRET_LENGTH));
    assert!(secrets.iter().flatten().all(|byte| LETTERS.contains(byte)));
    assert!(secrets.windows(2).all(|pair| pair[0] != pair[1]));
    let used = LETTERS.iter().filter(|letter| secrets.iter().flatten().any(|byte| byte == *letter)).count();
    assert_eq!(used, LETTERS.len(), "every letter occurs");
}

#[test]
fn a_web_page_is_no_answer_of_a_manager() {
    assert!(no_page(b"").is_ok() && no_page(b"{}").is_ok());
    assert!(no_page(b" \n<html>").is_err());
}
