use super::*;

#[test]
fn a_living_socket_is_not_disturbed_by_the_question() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = ShimListener::bind(folder.path(), "7-a").expect("a socket");
    assert!(!is_dead(listener.path()));
    let nobody = listener.accept().expect_err("the question makes no connection");
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    let _worker = connect(listener.path()).expect("somebody listens");
    listener.accept().expect("the worker");
}

#[test]
fn a_socket_without_a_listener_is_dead() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = ShimListener::bind(folder.path(), "7-a").expect("a socket");
    let path = listener.path().to_owned();
    drop(listener);
    assert!(path.exists() && is_dead(&path));
    assert!(!is_dead(&folder.path().join("8.sock")), "nothing is there to be removed");
}
