//! `glassbox reproduce`.

#[path = "../../../examples/papers/pages.rs"]
pub(crate) mod papers;

use crate::plot::chart;
use crate::{Result, progress, remark, terminal};
use clap::Args;
use papers::page::{Lab, Page, Picture};
use papers::{PAPERS, Paper};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use transformer::disk::write_atomically;

/// Reproduce the results of papers from the mathematics: claim, formulas, the published numbers beside those measured
/// here, pictures.
///
/// Without a name: a list. Every paper is one file of at most 150 lines in transformer/examples/papers of the source, to be
/// read beside the paper and changed. Exit status 1 if a number is not within its tolerance.
#[derive(Args)]
pub(crate) struct Reproduce {
    /// Names of papers, or `all`; `quick` are those that take less than ten seconds each
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Directory of the texts and tables that papers use (names.txt, chinchilla.csv, …) [default: $GLASSBOX_DATA, or this
    /// directory]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Seeds, where seeds matter
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Write papers.md and the pictures to this directory
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// A paper's page, and the seconds that it took.
struct Done {
    paper: &'static Paper,
    page: Page,
    seconds: f64,
}

impl Reproduce {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let chosen = self.chosen()?;
        if chosen.is_empty() {
            let rows: Vec<Vec<String>> = PAPERS
                .iter()
                .map(|p| vec![p.name.to_owned(), p.file.to_owned(), format!("{} s", p.seconds)])
                .collect();
            terminal::print(&terminal::table(&rows, 2))?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out)?;
        }
        let mut all = Vec::new();
        for paper in chosen {
            let done = self.reproduced(paper)?;
            if !self.json {
                terminal::print(&done.shown())?;
            }
            all.push(done);
        }
        if self.json {
            terminal::print_json(Value::from(all.iter().map(Done::object).collect::<Vec<_>>()))?;
        }
        if let Some(out) = &self.out {
            written(out, &all)?;
        }
        let missed: Vec<_> = all.iter().filter(|d| !d.page.holds()).map(|d| d.paper.name).collect();
        if missed.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        remark(format!("not within tolerance: {}", missed.join(", ")));
        Ok(ExitCode::from(1))
    }

    /// The papers that are asked for, in the order of the list.
    fn chosen(&self) -> Result<Vec<&'static Paper>> {
        const QUICK: u32 = 10;
        let asked = |paper: &Paper| {
            self.names.iter().any(|name| match name.as_str() {
                "all" => true,
                "quick" => paper.seconds < QUICK,
                name => name == paper.name,
            })
        };
        let known = |name: &&String| {
            matches!(name.as_str(), "all" | "quick") || PAPERS.iter().any(|p| p.name == **name)
        };
        if let Some(name) = self.names.iter().find(|name| !known(name)) {
            let names: Vec<_> = PAPERS.iter().map(|p| p.name).collect();
            return Err(
                format!("no paper \"{name}\": use {}, quick or all", names.join(", ")).into()
            );
        }
        Ok(PAPERS.iter().filter(|paper| asked(paper)).collect())
    }

    fn reproduced(&self, paper: &'static Paper) -> Result<Done> {
        let start = Instant::now();
        let bar = progress::bar(&format!("% of {}", paper.name));
        bar.set_length(100);
        let progress = |share: f64, _: &str| bar.set_position((100.0 * share) as u64);
        let data =
            self.data.clone().or_else(|| std::env::var_os("GLASSBOX_DATA").map(PathBuf::from));
        let data = data.unwrap_or_else(|| PathBuf::from("."));
        let lab = Lab { data, seeds: self.seeds, progress: &progress };
        let page = (paper.page)(&lab);
        bar.finish_and_clear();
        let page = page.map_err(|e| format!("{}: {e}", paper.name))?;
        Ok(Done { paper, page, seconds: start.elapsed().as_secs_f64() })
    }
}

impl Done {
    fn shown(&self) -> String {
        let (file, seconds) = (self.paper.file, self.seconds);
        format!("{}\ntransformer/examples/papers/{file}, {seconds:.1} s\n\n", self.page.markdown())
    }

    /// The names of the pictures' files.
    fn pictures(&self) -> impl Iterator<Item = (String, &Picture)> {
        let name = |i: usize| format!("{}-{}.svg", self.paper.name, i + 1);
        self.page.pictures.iter().enumerate().map(move |(i, picture)| (name(i), picture))
    }

    fn object(&self) -> Value {
        let rows = self.page.rows.iter().map(|r| {
            json!({
                "what": r.what, "origin": r.origin.word(), "expected": r.expected, "measured": r.measured,
                "tolerance": r.tolerance, "holds": r.holds(),
            })
        });
        json!({
            "name": self.paper.name, "title": self.page.title, "source": self.page.source,
            "holds": self.page.holds(), "seconds": self.seconds, "rows": rows.collect::<Vec<_>>(),
        })
    }
}

/// Writes papers.md and the pictures.
fn written(out: &Path, all: &[Done]) -> Result<()> {
    let mut text = "# Papers, reproduced\n\nMade by `glassbox reproduce all --out docs`. Each page is one file in \
                    transformer/examples/papers: change it and run it again.\n"
        .to_owned();
    for done in all {
        text += &format!("\n{}", done.page.markdown());
        text += &format!(
            "\n[`{0}`](../transformer/examples/papers/{0}), {1:.1} s on this machine.\n",
            done.paper.file, done.seconds
        );
        for (name, picture) in done.pictures() {
            let path = out.join("papers").join(&name);
            std::fs::create_dir_all(out.join("papers"))?;
            write_atomically(&path, chart::svg(picture).as_bytes())?;
            text += &format!("\n![{}](papers/{name})\n", picture.title);
        }
    }
    write_atomically(&out.join("papers.md"), text.as_bytes())?;
    remark(format!(
        "wrote {}",
        terminal::shown(&out.join("papers.md").display().to_string(), false)
    ));
    Ok(())
}
