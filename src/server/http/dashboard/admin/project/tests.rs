use super::{read_pool, read_project};
use crate::server::http::dashboard::admin::reading::typed;
use crate::server::http::dashboard::form::Filled;
use crate::server::store::EntityForm;

#[test]
fn what_is_typed_is_what_is_read() {
    let sheet = EntityForm {
        title: "Backups".to_owned(),
        description: "Every\nnight.".to_owned(),
        enabled: true,
        notification_addresses: "ops@example.org\nme@example.org".to_owned(),
    };
    for sheet in [sheet.clone(), EntityForm { enabled: false, description: String::new(), ..sheet }] {
        let mut pairs = typed(&sheet);
        pairs.push(("pools".to_owned(), "2".to_owned()));
        pairs.push(("workers".to_owned(), "3".to_owned()));
        let form = Filled::of(pairs);
        let (project, pools) = read_project(&form).unwrap();
        assert_eq!((&project, pools.len(), pools[0].get()), (&sheet, 1, 2));
        let (pool, workers) = read_pool(&form).unwrap();
        assert_eq!((&pool, workers.len(), workers[0].get()), (&sheet, 1, 3));
    }
}
