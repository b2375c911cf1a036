//! Tests of a log whose lines are not read.

use std::io::Read;
use std::os::unix::net::UnixStream;

use super::*;

fn line(number: u64) -> Vec<u8> {
    format!("line {number} {}\n", "x".repeat(100)).into_bytes()
}

#[test]
fn who_logs_never_waits_and_what_is_lost_is_counted() {
    let (mut reader, writer) = UnixStream::pair().unwrap();
    let sink = Sink::start(writer).unwrap();
    const LINES: u64 = 100_000;
    let since = Instant::now();
    (0..LINES).for_each(|number| sink.push(&line(number)));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let lost = sink.0.state().lost;
    assert!(lost > LINES / 2, "{lost}");
    sink.flush(Duration::from_millis(50));
    let mut read = Vec::new();
    let mut piece = vec![0; 1 << 16];
    while !String::from_utf8_lossy(&read).contains("after") {
        sink.push(b"after\n");
        let length = reader.read(&mut piece).unwrap();
        read.extend_from_slice(&piece[..length]);
    }
    let text = String::from_utf8(read).unwrap();
    // Whole lines, in their order, up to the end of the buffer.
    for (number, said) in text.lines().take_while(|said| said.starts_with("line")).enumerate() {
        assert_eq!(format!("{said}\n").as_bytes(), line(number as u64));
    }
    assert!(text.len() < 2 * BUFFER + 64, "{}", text.len());
}

#[test]
fn everything_is_written_when_somebody_reads() {
    let (mut reader, writer) = UnixStream::pair().unwrap();
    let sink = Sink::start(writer).unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = vec![0; 1000 * line(100).len()];
        reader.read_exact(&mut text).unwrap();
        text
    });
    (100..1000).for_each(|number| sink.push(&line(number)));
    (100..200).for_each(|number| sink.push(&line(number)));
    sink.flush(Duration::from_secs(10));
    assert_eq!(reading.join().unwrap().iter().filter(|byte| **byte == b'\n').count(), 1000);
    assert_eq!(sink.0.state().lost, 0);
}
