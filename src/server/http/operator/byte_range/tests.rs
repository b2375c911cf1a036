use super::{ByteRange, parse};

#[test]
fn a_range_is_what_there_is_of_it() {
    let rows = [
        ("bytes=0-0", ByteRange::Part(0, 1)),
        ("bytes=10-19", ByteRange::Part(10, 20)),
        (" bytes=10- ", ByteRange::Part(10, 100)),
        ("bytes=99-500", ByteRange::Part(99, 100)),
        ("bytes=-7", ByteRange::Part(93, 100)),
        ("bytes=-700", ByteRange::Part(0, 100)),
        ("bytes=100-", ByteRange::Beyond),
        ("bytes=100-200", ByteRange::Beyond),
        ("bytes=-0", ByteRange::Beyond),
        ("bytes=0-18446744073709551615", ByteRange::Part(0, 100)),
        // HTTP allows to answer these with the whole text.
        ("bytes=20-10", ByteRange::Whole),
        ("bytes=-", ByteRange::Whole),
        ("bytes=0-1,5-6", ByteRange::Whole),
        ("bytes=+1-5", ByteRange::Whole),
        ("bytes=1-99999999999999999999", ByteRange::Whole),
        ("lines=1-2", ByteRange::Whole),
        ("", ByteRange::Whole),
    ];
    for (header, expected) in rows {
        assert_eq!(parse(Some(header), 100), expected, "{header}");
    }
    assert_eq!(parse(None, 100), ByteRange::Whole);
    assert_eq!(parse(Some("bytes=0-"), 0), ByteRange::Beyond);
}
