use super::*;

fn frame(body: &[u8], is_command: bool) -> ZmtpFrame {
    ZmtpFrame { more: false, is_command, body: body.to_vec() }
}

#[test]
fn a_version_is_read_off_the_first_eleven_bytes() {
    let greeting = |version| {
        let mut greeting = GREETING;
        greeting[10] = version;
        greeting
    };
    assert_eq!(version(greeting(1)), Ok(ZmtpVersion::Two));
    assert_eq!(version(greeting(3)), Ok(ZmtpVersion::Three));
    assert_eq!(version(greeting(0)), Err(ZmtpError::Greeting));
    assert_eq!(version(*b"GET / HTTP/"), Err(ZmtpError::Greeting));
}

#[test]
fn what_is_written_is_read_again_whatever_the_pieces() {
    let long = vec![b'x'; 300];
    let whole = message(&[b"topic", &long, b""]);
    for cut in 0..whole.len() {
        let (mut buffer, mut frames) = (Vec::new(), Vec::new());
        for piece in [&whole[..cut], &whole[cut..]] {
            buffer.extend(piece);
            while let Some(frame) = take(&mut buffer, 1000).unwrap() {
                frames.push(frame);
            }
        }
        let read: Vec<(bool, usize)> = frames.iter().map(|frame| (frame.more, frame.body.len())).collect();
        assert_eq!(read, [(true, 5), (true, 300), (false, 0)]);
        assert!(buffer.is_empty());
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_it_is_there() {
    let mut buffer = vec![LONG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(take(&mut buffer, 1000), Err(ZmtpError::TooLong(1000)));
    assert_eq!(take(&mut vec![0, 101], 100), Err(ZmtpError::TooLong(100)));
    assert_eq!(take(&mut vec![0x80, 1, 0], 100), Err(ZmtpError::Malformed));
    assert_eq!(take(&mut vec![MORE | COMMAND, 1, 0], 100), Err(ZmtpError::Malformed));
}

#[test]
fn the_handshake_is_understood_by_the_other_kind_of_socket_alone() {
    let of = |role| take(&mut ready(role), 100).unwrap().unwrap();
    assert_eq!(check_ready(&of(SocketRole::Subscriber), SocketRole::Publisher), Ok(()));
    assert_eq!(check_ready(&of(SocketRole::Publisher), SocketRole::Subscriber), Ok(()));
    assert_eq!(check_ready(&of(SocketRole::Publisher), SocketRole::Publisher), Err(ZmtpError::SocketType));
    let other = frame(b"\x05READY\x08Identity\0\0\0\0\x0bSocket-Type\0\0\0\x04XSUB", true);
    assert_eq!(check_ready(&other, SocketRole::Publisher), Ok(()));
    assert_eq!(
        check_ready(&frame(b"\x05READY\x0bSocket-Type\xff\xff\xff\xffX", true), SocketRole::Publisher),
        Err(ZmtpError::SocketType)
    );
    assert_eq!(check_ready(&frame(b"\x05ERROR", true), SocketRole::Publisher), Err(ZmtpError::Malformed));
    assert_eq!(check_rest(&rest()), Ok(()));
    let mut curve = rest();
    curve[1..6].copy_from_slice(b"CURVE");
    assert_eq!(check_rest(&curve), Err(ZmtpError::Mechanism));
}

#[test]
fn subscriptions_are_messages_or_commands_and_a_ping_is_answered() {
    assert_eq!(said(&frame(b"\x01topic", false)), PeerCommand::Subscribe(b"topic"));
    assert_eq!(said(&frame(b"\0topic", false)), PeerCommand::Cancel(b"topic"));
    assert_eq!(said(&frame(b"\x09SUBSCRIBEtopic", true)), PeerCommand::Subscribe(b"topic"));
    assert_eq!(said(&frame(b"\x06CANCELtopic", true)), PeerCommand::Cancel(b"topic"));
    assert_eq!(said(&frame(b"\x04PING\0\x0acontext", true)), PeerCommand::Ping(b"context"));
    for nothing in [frame(b"", false), frame(b"\x02", false), frame(b"\x04PING", true), frame(b"", true)] {
        assert_eq!(said(&nothing), PeerCommand::Nothing);
    }
    assert_eq!(pong(b"context"), b"\x04\x0c\x04PONGcontext");
}
