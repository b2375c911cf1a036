use super::{Data, DataError, at_work};

#[test]
fn one_at_a_time_and_who_asks_is_told_where() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/b");
    assert_eq!(at_work(&data).unwrap(), None);
    let mut first = Data::take(&data).unwrap();
    assert_eq!(at_work(&data).unwrap(), None);
    first.tell("127.0.0.1:65535".parse().unwrap()).unwrap();
    first.tell("127.0.0.1:80".parse().unwrap()).unwrap();
    assert_eq!(at_work(&data).unwrap(), Some("127.0.0.1:80".parse().unwrap()));
    assert!(matches!(Data::take(&data), Err(DataError::Taken(_))));
    drop(first);
    assert_eq!(at_work(&data).unwrap(), None);
    Data::take(&data).unwrap();
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Data::take(&file.join("data")).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}
