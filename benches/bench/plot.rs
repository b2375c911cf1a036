//! How a cost grows, drawn: an SVG of a curve over logarithmic axes. Pure.
//!
//! It has no background of its own, and colours for a light and a dark one.

use std::fmt::Write as _;

use super::table::number;

/// A drawing.
#[derive(Clone, Debug)]
pub struct Plot {
    pub title: String,
    /// What the axes are, with their units.
    pub across: String,
    pub up: String,
    /// Both more than 0.
    pub points: Vec<(f64, f64)>,
}

/// Of the whole.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Of the field with the curves: left, top, right, bottom.
const FIELD: [f64; 4] = [70.0, 44.0, 620.0, 300.0];
const STYLE: &str = "\
text{font:13px sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}.grid{stroke:#8b949e;stroke-opacity:.35}\
.curve{fill:none;stroke:#0969da;stroke-width:2.2}.point{fill:#0969da}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.curve{stroke:#58a6ff}.point{fill:#58a6ff}}";

/// A logarithmic axis of whole powers of ten.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Powers of ten.
    first: f64,
    last: f64,
    /// Where they are drawn.
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (least, most) =
            values.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        let first = least.log10().floor();
        Self { first, last: most.log10().ceil().max(first + 1.0), from, to }
    }

    fn at(self, value: f64) -> f64 {
        self.from + (value.log10() - self.first) / (self.last - self.first) * (self.to - self.from)
    }

    /// The powers of ten.
    fn marks(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.first), |power| Some(power + 1.0))
            .take_while(move |power| *power <= self.last)
            .map(|power| 10_f64.powf(power))
    }
}

/// The drawing as text.
pub fn svg(plot: &Plot) -> String {
    let [left, top, right, bottom] = FIELD;
    let across = Axis::over(plot.points.iter().map(|(x, _)| *x), left, right);
    let up = Axis::over(plot.points.iter().map(|(_, y)| *y), bottom, top);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<title>{0}</title>\n\
         <style>{STYLE}</style>\n<text class=\"title\" x=\"{left}\" y=\"24\">{0}</text>\n",
        plot.title
    );
    for mark in across.marks() {
        let x = across.at(mark);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>");
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", bottom + 18.0, count(mark));
    }
    for mark in up.marks() {
        let y = up.at(mark);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>");
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", left - 8.0, y + 4.0, count(mark));
    }
    let (middle, below) = (f64::midpoint(left, right), bottom + 42.0);
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{}</text>", plot.across);
    let (aside, middle) = (18.0, f64::midpoint(top, bottom));
    let _ = writeln!(
        svg,
        "<text transform=\"translate({aside} {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        plot.up
    );
    let at: Vec<(f64, f64)> = plot.points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
    let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _ = writeln!(svg, "<path class=\"curve\" d=\"M{}\"/>", path.join("L"));
    for ((x, y), (_, value)) in at.iter().zip(&plot.points) {
        let _ = writeln!(svg, "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>");
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", y - 9.0, number(*value));
    }
    svg + "</svg>\n"
}

/// A power of ten, to be read quickly.
fn count(mark: f64) -> String {
    match mark {
        mark if mark >= 1e6 => format!("{} M", mark / 1e6),
        mark if mark >= 1e3 => format!("{},000", mark / 1e3),
        mark => format!("{mark}"),
    }
}
