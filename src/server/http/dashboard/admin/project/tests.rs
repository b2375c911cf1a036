use super::{read_pool, read_project};
use crate::server::domain::title::Title;
use crate::server::http::dashboard::admin::form_reader::common_values;
use crate::server::http::dashboard::form::FormValues;
use crate::server::store::EntityForm;

#[test]
fn what_is_typed_is_what_is_read() {
    let values = EntityForm {
        title: Title::fixed("Backups"),
        description: "Every\nnight.".to_owned(),
        enabled: true,
        notification_addresses: "ops@example.org\nme@example.org".to_owned(),
    };
    for values in [values.clone(), EntityForm { enabled: false, description: String::new(), ..values }] {
        let mut pairs = common_values(&values);
        pairs.push(("pools".to_owned(), "2".to_owned()));
        pairs.push(("workers".to_owned(), "3".to_owned()));
        let form = FormValues::of(pairs);
        let (project, pools) = read_project(&form).unwrap();
        assert_eq!((&project, pools.len(), pools[0].get()), (&values, 1, 2));
        let (pool, workers) = read_pool(&form).unwrap();
        assert_eq!((&pool, workers.len(), workers[0].get()), (&values, 1, 3));
    }
}
