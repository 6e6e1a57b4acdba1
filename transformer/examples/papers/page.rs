//! What a page of a paper is: the claim, formulas in the paper's notation beside ours, published and measured numbers,
//! pictures, and what to change to break it.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a page is given: where texts are, how many seeds to try where they matter, and whom to tell how far it is.
pub(crate) struct Lab<'a> {
    /// The directory of the outside texts and tables.
    pub(crate) data: PathBuf,
    pub(crate) seeds: u64,
    /// Called with the share that is done, 0 to 1, and a word on it.
    pub(crate) progress: &'a dyn Fn(f64, &str),
}

impl Lab<'_> {
    /// Reads an outside file.
    ///
    /// # Errors
    /// Names the file and where to get it.
    pub(crate) fn text(&self, name: &str, from: &str) -> Result<String> {
        let file = Path::new(name).file_name().unwrap_or_default();
        let places = [self.data.join(name), self.data.join(file)];
        let path = places.iter().find(|path| path.exists()).unwrap_or(&places[1]);
        std::fs::read_to_string(path).map_err(|e| {
            let (path, file) = (path.display(), file.to_string_lossy());
            format!("{path}: {e}; get {file} from {from}, and name its directory with --data")
                .into()
        })
    }
}

/// Where a number that is compared comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The paper prints it, or its authors do elsewhere.
    Published,
    /// It follows from a formula.
    Derived,
    /// The paper's figure could not be read off or verified; a bound that the claim implies is tested instead.
    Claimed,
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Origin::Published => "published",
            Origin::Derived => "closed form",
            Origin::Claimed => "implied by the claim",
        }
    }
}

/// A number beside the one that is expected.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) origin: Origin,
    pub(crate) expected: f64,
    pub(crate) measured: f64,
    /// The largest difference from what is expected, in this row's unit.
    pub(crate) tolerance: f64,
    /// Digits after the point that are shown.
    pub(crate) digits: usize,
}

impl Row {
    pub(crate) fn holds(&self) -> bool {
        (self.measured - self.expected).abs() <= self.tolerance
    }
}

/// A curve, or points without lines.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<[f64; 2]>,
    pub(crate) line: bool,
}

/// Curves over one axis, each logarithmic or not.
pub(crate) struct Picture {
    pub(crate) title: String,
    pub(crate) axes: [&'static str; 2],
    pub(crate) logarithmic: [bool; 2],
    pub(crate) series: Vec<Series>,
    /// Values at which a horizontal line is drawn, with names.
    pub(crate) levels: Vec<(String, f64)>,
}

impl Picture {
    pub(crate) fn new(title: impl Into<String>, axes: [&'static str; 2]) -> Self {
        let title = title.into();
        Picture { title, axes, logarithmic: [false; 2], series: vec![], levels: vec![] }
    }

    #[must_use]
    pub(crate) fn logarithmic(self, logarithmic: [bool; 2]) -> Self {
        Picture { logarithmic, ..self }
    }

    #[must_use]
    pub(crate) fn line(self, name: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        self.with(Series { name: name.into(), points, line: true })
    }

    #[must_use]
    pub(crate) fn points(self, name: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        self.with(Series { name: name.into(), points, line: false })
    }

    #[must_use]
    pub(crate) fn level(mut self, name: impl Into<String>, at: f64) -> Self {
        self.levels.push((name.into(), at));
        self
    }

    fn with(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }
}

/// The page of one paper.
pub(crate) struct Page {
    pub(crate) title: &'static str,
    /// Authors, title, year, number.
    pub(crate) source: &'static str,
    pub(crate) claim: &'static str,
    /// The paper's formula, and where it stands here.
    pub(crate) formulas: Vec<[&'static str; 2]>,
    pub(crate) rows: Vec<Row>,
    /// What was seen that is no number: texts, a table.
    pub(crate) seen: String,
    pub(crate) pictures: Vec<Picture>,
    /// What to change in the file, and what happens then.
    pub(crate) to_break: &'static str,
}

impl Page {
    pub(crate) fn new(title: &'static str, source: &'static str, claim: &'static str) -> Self {
        let (formulas, rows, pictures) = (vec![], vec![], vec![]);
        Page { title, source, claim, formulas, rows, seen: String::new(), pictures, to_break: "" }
    }

    /// Adds a number of the paper and ours.
    pub(crate) fn row(
        &mut self,
        what: &str,
        origin: Origin,
        values: [f64; 2],
        tolerance: f64,
        digits: usize,
    ) {
        let ([expected, measured], what) = (values, what.to_owned());
        self.rows.push(Row { what, origin, expected, measured, tolerance, digits });
    }

    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }

    /// The page as Markdown, without its pictures.
    pub(crate) fn markdown(&self) -> String {
        let mut out =
            format!("## {}\n\n{}\n\n**Claim.** {}\n\n", self.title, self.source, self.claim);
        for [paper, here] in &self.formulas {
            let _ = writeln!(out, "- {paper}  \n  {here}");
        }
        out += "\n| what | | expected | measured | tolerance | |\n|---|---|---:|---:|---:|---|\n";
        for r in &self.rows {
            let [expected, measured] = [r.expected, r.measured].map(|x| shown(x, r.digits));
            let holds = if r.holds() { "holds" } else { "**missed**" };
            let (what, origin) = (&r.what, r.origin.word());
            let _ = writeln!(
                out,
                "| {what} | {origin} | {expected} | {measured} | {:.1e} | {holds} |",
                r.tolerance
            );
        }
        if !self.seen.is_empty() {
            let _ = write!(out, "\n{}\n", self.seen.trim_end());
        }
        let _ = write!(out, "\n**To break it.** {}\n", self.to_break);
        out
    }
}

/// A number with so many digits after the point; very small ones as a power of ten.
fn shown(x: f64, digits: usize) -> String {
    if x != 0.0 && x.abs() < 0.5 * 0.1_f64.powi(digits as i32) {
        return format!("{x:.1e}");
    }
    format!("{x:.digits$}")
}
