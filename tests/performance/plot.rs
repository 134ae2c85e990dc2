//! Plots as SVG files.

use std::path::Path;

use plotters::prelude::*;

/// One line of a plot.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How the x axis is divided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Evenly.
    Even,
    /// By powers of ten: points hold the numbers themselves.
    Powers,
}

/// One plot of a picture.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) axis: Axis,
    pub(crate) lines: Vec<Line>,
}

const WIDTH: u32 = 480;
const HEIGHT: u32 = 320;

/// Draws panels, two in a row.
pub(crate) fn draw(path: &Path, panels: &[Panel<'_>]) {
    let rows = panels.len().div_ceil(2);
    let size = (2 * WIDTH, HEIGHT * u32::try_from(rows).unwrap());
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).unwrap();
    for (area, panel) in root.split_evenly((rows, 2)).iter().zip(panels) {
        panel.draw(area);
    }
    root.present().unwrap();
}

impl Panel<'_> {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) {
        let lines: Vec<Vec<_>> = self.lines.iter().map(|line| self.placed(&line.points)).collect();
        let (mut from, mut to, mut top) = (f64::MAX, f64::MIN, 0.0_f64);
        for (x, y) in lines.iter().flatten() {
            (from, to, top) = (from.min(*x), to.max(*x), top.max(*y));
        }
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 15))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(from..to, 0.0..top.max(1e-9) * 1.35)
            .unwrap();
        let label = |x: &f64| if self.axis == Axis::Powers { short(10_f64.powf(*x)) } else { short(*x) };
        chart
            .configure_mesh()
            .x_desc(self.x)
            .x_labels(6)
            .y_labels(6)
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&label)
            .y_label_formatter(&|y| short(*y))
            .draw()
            .unwrap();
        for (number, (line, points)) in self.lines.iter().zip(lines).enumerate() {
            let style = Palette99::pick(number).stroke_width(2);
            let drawn = chart.draw_series(LineSeries::new(points, style).point_size(dots(&line.points))).unwrap();
            drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
        // Many lines run above a long legend; a few leave room over them.
        let many = self.lines.len() > 2;
        let corner = if many { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperLeft };
        let mut legend = chart.configure_series_labels();
        legend.position(corner).background_style(WHITE.mix(0.7)).label_font(("sans-serif", 11));
        legend.draw().unwrap();
    }

    fn placed(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let place = |x: f64| if self.axis == Axis::Powers { x.log10() } else { x };
        points.iter().map(|(x, y)| (place(*x), *y)).collect()
    }
}

/// A few points are shown as such, many are a line.
fn dots(points: &[(f64, f64)]) -> u32 {
    if points.len() <= 12 { 3 } else { 0 }
}

/// A number as an axis shows it.
fn short(number: f64) -> String {
    let (value, unit) = match number.abs() {
        size if size >= 999_999.0 => (number / 1e6, " M"),
        size if size >= 9_999.0 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = usize::from(value.abs() < 9.95 && (value - value.round()).abs() > 0.01);
    format!("{value:.digits$}{unit}")
}
