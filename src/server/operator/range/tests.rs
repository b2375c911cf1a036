use super::{Asked, asked};

#[test]
fn a_range_is_what_there_is_of_it() {
    let rows = [
        ("bytes=0-0", Asked::Part(0, 1)),
        ("bytes=10-19", Asked::Part(10, 20)),
        (" bytes=10- ", Asked::Part(10, 100)),
        ("bytes=99-500", Asked::Part(99, 100)),
        ("bytes=-7", Asked::Part(93, 100)),
        ("bytes=-700", Asked::Part(0, 100)),
        ("bytes=100-", Asked::Beyond),
        ("bytes=100-200", Asked::Beyond),
        ("bytes=-0", Asked::Beyond),
        ("bytes=0-18446744073709551615", Asked::Part(0, 100)),
        // What is no single range may be answered with everything.
        ("bytes=20-10", Asked::Whole),
        ("bytes=-", Asked::Whole),
        ("bytes=0-1,5-6", Asked::Whole),
        ("bytes=+1-5", Asked::Whole),
        ("bytes=1-99999999999999999999", Asked::Whole),
        ("lines=1-2", Asked::Whole),
        ("", Asked::Whole),
    ];
    for (header, expected) in rows {
        assert_eq!(asked(Some(header), 100), expected, "{header}");
    }
    assert_eq!(asked(None, 100), Asked::Whole);
    assert_eq!(asked(Some("bytes=0-"), 0), Asked::Beyond);
}
