//! What is drawn of the figures: how the server's work grows with its workers and with what is over. Pure.

use super::figures::Figures;
use super::plot::Plot;

/// The drawings for which there are figures, by the names of their files.
pub fn plots(figures: &Figures) -> Vec<(&'static str, Plot)> {
    let workers = [("own_workers1", 1.0), ("own_workers10", 10.0), ("own_workers100", 1e2), ("own_workers1000", 1e3)];
    let history = [("own_history3", 1e3), ("own_history4", 1e4), ("own_history5", 1e5), ("own_history6", 1e6)];
    let plot = |title: &str, across: &str, points: &[(&str, f64)], up: &str, figure: &str| {
        let of = |(scenario, at): &(&str, f64)| Some((*at, figures.summary(&format!("{scenario}.{figure}"))?.median));
        let points = points.iter().filter_map(of).collect();
        Plot { title: title.to_owned(), across: across.to_owned(), up: up.to_owned(), points }
    };
    let (of_workers, of_history) = ("connected workers", "runs that are over");
    let (runs, delay) = ("No-op runs that are due at once", "From due to announced, p99");
    let plots = vec![
        ("workers_runs.svg", plot(runs, of_workers, &workers, "runs/s", "runs")),
        ("workers_delay.svg", plot(delay, of_workers, &workers, "ms", "announced_p99")),
        ("history_runs.svg", plot(runs, of_history, &history, "runs/s", "runs")),
        ("history_delay.svg", plot(delay, of_history, &history, "ms", "announced_p99")),
    ];
    plots.into_iter().filter(|(_, plot)| plot.points.len() > 1).collect()
}
