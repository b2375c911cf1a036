use std::io;
use std::path::PathBuf;

use super::{FREE, replace_taken_port, replaced_ports};
use crate::server::{ServerError, Settings};

#[test]
fn who_finds_a_port_taken_asks_for_any_once() {
    let wanted = Settings::new(PathBuf::new());
    let mut settings = wanted.clone();
    let in_use = || io::Error::from(io::ErrorKind::AddrInUse);
    assert!(replace_taken_port(&mut settings, &ServerError::Listen(wanted.http, in_use())));
    assert_eq!((settings.http, settings.broadcaster), (FREE, wanted.broadcaster));
    assert!(!replace_taken_port(&mut settings, &ServerError::Listen(wanted.http, in_use())));
    assert!(!replace_taken_port(&mut settings, &ServerError::Listen(FREE, in_use())));
    assert!(replace_taken_port(&mut settings, &ServerError::Zmq(wanted.events, in_use())));
    assert_eq!(settings.events, FREE);

    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(!replace_taken_port(&mut settings, &ServerError::Listen(wanted.http, denied())));
    assert!(!replace_taken_port(&mut settings, &ServerError::Zmq(wanted.broadcaster, denied())));
}

#[test]
fn what_has_moved_is_told() {
    let wanted = Settings::new(PathBuf::new());
    let mut got = wanted.clone();
    assert!(replaced_ports(&wanted, &got).is_empty());
    got.http.set_port(1234);
    assert_eq!(replaced_ports(&wanted, &got), [(8000, 1234)]);
    // Port 0 asks for any port, so no port counts as replaced_ports.
    assert!(replaced_ports(&Settings { http: FREE, ..wanted }, &got).is_empty());
}
