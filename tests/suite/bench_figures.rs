//! Figures of the measuring program: medians, tables, documents and drawings.

#[path = "../../benches/bench/figures.rs"]
mod figures;
#[path = "../../benches/bench/growth.rs"]
mod growth;
#[path = "../../benches/bench/plot.rs"]
mod plot;
#[allow(dead_code)]
#[path = "../../benches/bench/rows.rs"]
mod rows;
#[allow(dead_code)]
#[path = "../../benches/bench/table.rs"]
mod table;

use figures::{Figures, Summary, quantile, sorted};

/// Three repeats of a few scenarios, one of them of the original too.
fn some() -> Figures {
    let mut figures = Figures::default();
    for (limit, runs) in [(52.0, 1040.0), (44.0, 880.0), (49.0, 980.0)] {
        figures.add("throughput4", vec![("of_limit", limit), ("runs", runs)]);
        figures.add("original.throughput4", vec![("of_limit", 1.5), ("runs", 24.0)]);
    }
    figures.add("idle", vec![("private", 12.66), ("resident", 14.31), ("wake_ups", 0.0)]);
    for (scenario, runs, announced) in
        [("own_workers1", 480.0, 3.2), ("own_workers10", 520.0, 3.4), ("own_workers1000", 350.0, 17.0)]
    {
        figures.add(scenario, vec![("runs", runs), ("announced_p99", announced)]);
    }
    figures
}

#[test]
fn a_figure_is_the_median_with_its_spread() {
    let figures = some();
    let summary = figures.summary("throughput4.of_limit");
    assert_eq!(summary, Some(Summary { median: 49.0, min: 44.0, max: 52.0 }));
    assert_eq!(figures.summary("throughput4.nothing"), None);
    let hundred: Vec<f64> = sorted(&(1..=100).rev().map(f64::from).collect::<Vec<_>>());
    assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(&hundred, part)), [1.0, 50.0, 99.0, 100.0].map(Some));
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn a_table_marks_targets_that_are_missed() {
    insta::assert_snapshot!(table::rst(&some()));
}

#[test]
fn a_document_gets_new_figures_in_the_place_of_the_old_ones() {
    let document = include_str!("../../PERFORMANCE.rst");
    let first = table::placed(document, "1\n").expect("a place for figures");
    assert_eq!(table::placed(&first, "1\n").as_deref(), Some(&*first));
    assert!(first.starts_with(&document[..100]) && first.ends_with(&document[document.len() - 100..]));
    assert_eq!(table::placed("Performance", "1\n"), None);
}

#[test]
fn growth_is_drawn_where_it_was_measured() {
    let plots = growth::plots(&some());
    let names: Vec<&str> = plots.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["workers_runs.svg", "workers_delay.svg"]);
    insta::assert_snapshot!(plot::svg(&plots[0].1));
}
