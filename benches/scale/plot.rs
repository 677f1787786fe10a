//! The picture of it, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scale.svg");
const COLUMNS: usize = 2;
const PANEL: (u32, u32) = (480, 320);
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) fn draw(panels: &[Panel]) {
    match try_to_draw(panels, Path::new(FILE)) {
        Ok(()) => println!("\n{FILE} shows it."),
        Err(error) => eprintln!("{FILE} cannot be drawn: {error}"),
    }
}

fn try_to_draw(panels: &[Panel], file: &Path) -> Result<(), Box<dyn Error>> {
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * rows as u32);
    let picture = SVGBackend::new(file, size).into_drawing_area();
    picture.fill(&WHITE).map_err(|error| error.to_string())?;
    for (panel, area) in panels.iter().zip(picture.split_evenly((rows, COLUMNS))) {
        panel.draw(&area).map_err(|error| error.to_string())?;
    }
    picture.present().map_err(|error| error.to_string())?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

impl Panel {
    /// What changes grows by factors, so the width is logarithmic.
    fn draw<'a>(&self, area: &Area<'a>) -> Drawn<'a> {
        let xs = || self.lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
        let ys = self.lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
        let values: Vec<f64> = self.lines.iter().take(1).flat_map(|line| line.points.iter().map(|(x, _)| *x)).collect();
        let width = xs().fold(f64::MAX, f64::min)..xs().fold(f64::MIN, f64::max) * 1.1;
        let mut builder = ChartBuilder::on(area);
        builder.caption(self.title, ("sans-serif", 16)).margin(12).x_label_area_size(28).y_label_area_size(48);
        let mut chart = builder
            .build_cartesian_2d(width.log_scale().with_key_points(values), 0.0..ys.fold(f64::MIN, f64::max) * 1.2)?;
        let label = |x: &f64| format!("{x:.0}");
        chart.configure_mesh().light_line_style(WHITE).x_label_formatter(&label).draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let points = || line.points.iter().copied();
            let series = chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
            series
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE)
            .draw()
    }
}
