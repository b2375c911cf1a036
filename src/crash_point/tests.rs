//! Tests of the crash points: which passage kills, and that every point is passed somewhere in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Point, is_fatal};

fn arm(folder: &Path, name: &str) {
    fs::write(folder.join(name), "").unwrap();
}

#[test]
fn who_comes_nth_dies() {
    let folder = TempDir::new().unwrap();
    (1..=3).for_each(|nth| arm(folder.path(), &format!("LogSent.{nth}")));
    arm(folder.path(), "ClaimSent.1");
    let passed = [Point::LogSent, Point::ReturnSent, Point::LogSent, Point::LogSent, Point::LogSent];
    assert_eq!(passed.map(|point| is_fatal(folder.path(), point)), [false, false, false, true, false]);
    assert!(is_fatal(folder.path(), Point::ClaimSent));
}

#[test]
fn every_point_is_passed_somewhere() {
    let mut passed = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                passed
                    .extend(text.split("crash_point!(").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()));
            }
        }
    }
    let missing: Vec<_> = Point::ALL.iter().filter(|point| !passed.contains(&format!("{point:?}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_shims_points_are_known_from_the_workers() {
    let is_named_so = |point: &Point| format!("{point:?}").starts_with("Shim");
    for point in Point::ALL {
        assert_eq!(point.is_of_shim(), is_named_so(point), "{point:?}");
    }
    assert!(Point::ALL.iter().any(is_named_so));
}
