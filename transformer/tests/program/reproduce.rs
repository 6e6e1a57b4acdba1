//! `glassbox reproduce`: the papers that take seconds hold, their page is current, and bad input is refused in words.

use crate::place::{Place, says};
use std::path::{Path, PathBuf};

fn papers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/papers")
}

/// The directory of the outside texts, if there is one.
fn outside() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("GLASSBOX_DATA").map_or_else(beside, PathBuf::from);
    if data.is_dir() {
        return Some(data.canonicalize().expect("a directory"));
    }
    assert!(std::env::var_os("GLASSBOX_REQUIRE_DATA").is_none(), "{}: no data", data.display());
    println!("skipped: no outside data at {}", data.display());
    None
}

/// The tables of a page, row by row, without what depends on the machine.
fn rows(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("| ")).collect()
}

#[test]
fn quick_papers_hold_and_their_page_is_current() {
    let Some(data) = outside() else { return };
    let place = Place::new();
    let data = data.to_str().expect("text");
    let all = place.json(&["reproduce", "quick", "--data", data, "--out", "out"]);
    for paper in all.as_array().expect("papers") {
        assert_eq!(paper["holds"], true, "{paper}");
    }
    let made = std::fs::read_to_string(place.path("out/papers.md")).expect("a page");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/papers.md");
    let kept = std::fs::read_to_string(docs).expect("docs/papers.md");
    for row in rows(&made) {
        assert!(
            kept.contains(row),
            "docs/papers.md lacks {row}: glassbox reproduce all --out docs"
        );
    }
    for picture in std::fs::read_dir(place.path("out/papers")).expect("pictures") {
        let picture = picture.expect("a picture").path();
        let svg = std::fs::read_to_string(&picture).expect("a picture");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{}", picture.display());
        assert!(svg.contains("class=\"c0\""), "{}: no curve", picture.display());
    }
}

/// A page is one file that can be read beside its paper, and the library does not know of any.
#[test]
fn a_paper_is_a_file_of_at_most_150_lines() {
    let support = ["main.rs", "page.rs", "pages.rs", "python.rs"];
    let mut count = 0;
    for file in std::fs::read_dir(papers()).expect("papers") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        if !support.contains(&name.as_str()) {
            count += 1;
            assert!(text.lines().count() <= 150, "{name}: {} lines", text.lines().count());
        }
    }
    let listed = Place::new().fine(&["reproduce"]);
    assert_eq!(listed.lines().count(), count, "{listed}");
}

#[test]
fn what_cannot_be_reproduced_is_said() {
    let place = Place::new();
    let refused = |arguments: &[&str], part: &str| {
        let message = place.refused(&[&["reproduce"], arguments].concat());
        says(&message, &[part]);
    };
    refused(&["chinchila"], "no paper \"chinchila\": use microgpt");
    refused(&["bigram", "--data", "nowhere"], "get names.txt from https://");
    std::fs::write(place.path("names.txt"), "anna\nbob\n").expect("a file");
    refused(&["microgpt", "--data", "."], "2 names; a step learns one");
    std::fs::write(place.path("chinchilla.csv"), "size,flop,loss\n1,2\n").expect("a file");
    refused(&["chinchilla", "--data", "."], "line 2 is not parameters");
}
