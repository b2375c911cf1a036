use super::{Excerpt, shown, size};
use crate::run::RunId;
use crate::server::http::terminal::Row;

#[test]
fn a_part_leads_to_the_parts_beside_it() {
    let part = |first, lines, rows: usize| {
        let log = Excerpt { bytes: 1000, lines, first, rows: vec![Row::default(); rows] };
        let shown = shown(RunId::new(12).unwrap(), &log);
        let number = |name: &str| i64::try_from(shown.get_attr(name).unwrap()).ok();
        (number("earlier"), number("later"))
    };
    assert_eq!(part(0, 2, 2), (None, None));
    assert_eq!(part(0, 500, 2), (None, Some(2)));
    assert_eq!(part(500, 502, 2), (Some(100), None));
    assert_eq!(part(50, 502, 2), (Some(0), Some(52)));
}

#[test]
fn sizes_are_as_people_say_them() {
    for (bytes, shown) in [(0, "0 bytes"), (999, "999 bytes"), (1_250, "1.2 kB"), (104_857_600, "104.8 MB")] {
        assert_eq!(size(bytes), shown);
    }
}
