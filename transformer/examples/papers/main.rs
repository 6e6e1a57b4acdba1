//! A paper's result, from the mathematics: `cargo run --release -p glassbox-transformer --example papers -- NAME`.
//! Without a name: a list. `glassbox reproduce` is the same with pictures.

#[path = "pages.rs"]
mod pages;

use pages::PAPERS;
use pages::page::{Lab, Picture, Result, Series};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let names: Vec<&str> = PAPERS.iter().map(|paper| paper.name).collect();
    let Some(name) = arguments.next() else {
        for paper in &PAPERS {
            println!("{:12} {:18} {:4} s", paper.name, paper.file, paper.seconds);
        }
        return Ok(());
    };
    let data = arguments.next().unwrap_or_else(|| "../shared/data".to_owned()).into();
    let seeds = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let lab =
        Lab { data, seeds, progress: &|share, what| eprintln!("{:3.0} % {what}", 100.0 * share) };
    let paper = PAPERS.iter().find(|paper| paper.name == name);
    let paper = paper.ok_or(format!("no paper {name}: {}", names.join(", ")))?;
    let page = (paper.page)(&lab)?;
    println!("{}", page.markdown());
    for Picture { title, axes: [x, y], logarithmic, series, .. } in &page.pictures {
        println!("picture: {title}: {y} over {x}, logarithmic: {logarithmic:?}");
        for Series { name, points, line } in series {
            println!(
                "  {} {} of {name}",
                points.len(),
                if *line { "places of a curve" } else { "points" }
            );
        }
    }
    if page.holds() { Ok(()) } else { Err("not all numbers are within their tolerance".into()) }
}
