use chrono::TimeDelta;

use super::{HistoryChart, axis_label, history_chart};
use crate::run::RunId;
use crate::server::domain::model::{Run, RunExit};
use crate::server::http::dashboard::job::sample;

/// Runs with these durations in seconds, the latest first; one of 0 seconds failed, all others succeeded.
fn runs(seconds: &[i64]) -> Vec<Run> {
    let one = |(place, seconds): (usize, &i64)| {
        let run = sample::run();
        let over = run.start_dts.map(|at| at + TimeDelta::seconds(*seconds));
        let id = RunId::new(100 - i64::try_from(place).unwrap()).unwrap();
        Run { id, return_dts: over, return_success: Some(*seconds > 0), exit: None, ..run }
    };
    seconds.iter().enumerate().map(one).collect()
}

fn shown(chart: &HistoryChart) -> String {
    let mut lines: Vec<String> = chart.lines.iter().map(|line| format!("line {} at {}", line.label, line.y)).collect();
    lines.extend(
        chart
            .bars
            .iter()
            .map(|bar| format!("run {} at {}: {} high, {}, {:?}", bar.run, bar.x, bar.height, bar.ended, bar.took)),
    );
    lines.push(format!("by size {}, rate {:?}, usual {:?}", chart.is_logarithmic, chart.success_percent, chart.median));
    lines.join("\n")
}

#[test]
fn lengths_are_as_high_as_they_are_long() {
    insta::assert_snapshot!(shown(&history_chart(&runs(&[30, 15, 0, 45]))), @r#"
    line 30 s at 74
    line 1 min at 16
    run 97 at 64.7: 87 high, succeeded, Some("45 s")
    run 98 at 82.2: 2 high, failed, Some("0.0 s")
    run 99 at 99.6: 29 high, succeeded, Some("15 s")
    run 100 at 117.1: 58 high, succeeded, Some("30 s")
    by size false, rate Some(75), usual Some("22 s")
    "#);
}

#[test]
fn one_that_took_long_does_not_flatten_the_rest() {
    insta::assert_snapshot!(shown(&history_chart(&runs(&[4, 5, 7200, 6]))), @r#"
    line 2 h at 16
    line 20 min at 41.4
    line 2 min at 74
    line 20 s at 99.4
    run 97 at 64.7: 15.6 high, succeeded, Some("6.0 s")
    run 98 at 82.2: 116 high, succeeded, Some("2 h 0 min")
    run 99 at 99.6: 13 high, succeeded, Some("5.0 s")
    run 100 at 117.1: 9.8 high, succeeded, Some("4.0 s")
    by size true, rate Some(100), usual Some("5.5 s")
    "#);
}

#[test]
fn a_hundred_fit_and_none_is_nothing() {
    let all = history_chart(&runs(&[10; 100]));
    let right = all.bars.last().unwrap();
    assert!(right.x + right.width / 2.0 <= super::SIZE.0);
    assert_eq!(all.success_percent, Some(100));
    assert_eq!(history_chart(&[]), HistoryChart::default());
}

#[test]
fn every_end_is_counted_by_its_name() {
    let mut runs = runs(&[1, 1, 1, 0, 1]);
    runs[0].exit = Some(RunExit::Killed);
    runs[1].exit = Some(RunExit::TimedOut);
    let ends: Vec<_> = history_chart(&runs).ends.into_iter().map(|end| (end.state, end.shown, end.count)).collect();
    insta::assert_debug_snapshot!(ends, @r#"
    [
        (
            "succeeded",
            "succeeded",
            2,
        ),
        (
            "failed",
            "failed",
            1,
        ),
        (
            "timed_out",
            "timed out",
            1,
        ),
        (
            "killed",
            "killed",
            1,
        ),
    ]
    "#);
    // A cancelled run never began.
    runs[0].start_dts = None;
    assert_eq!(history_chart(&runs).bars.last().unwrap().took, None);
}

#[test]
fn lengths_are_told_in_one_unit() {
    let told = [0.0, 0.25, 1.0, 9.96, 42.4, 90.0, 1800.0, 5400.0, 86400.0].map(axis_label);
    assert_eq!(told.join(", "), "0 s, 0.2 s, 1 s, 10 s, 42 s, 1.5 min, 30 min, 1.5 h, 1 d");
}
