use super::{Conflict, MissingEntity, UnknownName};
use crate::run::ApiKey;
use crate::server::domain::model::{JobId, PoolId, ProjectId, TemplateId, WorkerId};
use crate::server::domain::title::{Title, TitleViolation};
use crate::server::store::Entity;

fn unknown(kind: Entity, within: Option<&str>, known: &[&str], has_others: bool) -> Conflict {
    let known = known.iter().map(|name| (*name).to_owned()).collect();
    Conflict::Unknown(UnknownName {
        kind,
        title: Title::fixed("wbe"),
        within: within.map(str::to_owned),
        known,
        has_others,
    })
}

#[test]
fn every_conflict_has_its_own_words() {
    let references = [
        MissingEntity::Project(ProjectId::new(1).unwrap()),
        MissingEntity::Pool(PoolId::new(2).unwrap()),
        MissingEntity::Worker(WorkerId::new(3).unwrap()),
        MissingEntity::Template(TemplateId::new(4).unwrap()),
        MissingEntity::Parent(JobId::new(5).unwrap()),
    ];
    let mut conflicts: Vec<Conflict> = references.into_iter().map(Conflict::Missing).collect();
    conflicts.extend([
        unknown(Entity::Project, None, &[], false),
        unknown(Entity::Template, Some("shop"), &["shell"], false),
        unknown(Entity::Pool, None, &["db", "web"], false),
        unknown(Entity::Pool, None, &["db", "web"], true),
        Conflict::TitleTaken(Title::fixed("backup")),
        Conflict::KeyTaken(ApiKey::parse("web1").unwrap()),
        Conflict::Cycle,
        Conflict::IntervalWithoutUnit(5),
        Conflict::NoSecret,
        Conflict::SecretNotText,
        Conflict::TooManyAlike { title: Title::fixed("hello"), most: 1000 },
        Conflict::Rule(TitleViolation::Form.into()),
        Conflict::JobOfTemplate { job: "backup".to_owned(), broken: TitleViolation::Form.into() },
    ]);
    let said: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}
