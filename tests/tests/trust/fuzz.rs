//! The fuzz targets of `tests/fuzz`, for a moment each: the seeds, and mutations of them. `tests/fuzz/run` takes longer.

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub, clippy::module_inception)]
mod targets;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const TARGET: &str = "GLASSBOX_FUZZ_TARGET";
const INPUT: &str = "GLASSBOX_FUZZ_INPUT";
/// Seconds for each target.
const SECONDS: &str = "GLASSBOX_FUZZ_SECONDS";

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Each target in a process of its own, which may take 2 GB: an abort or a stack that overflows is a failure with its
/// input.
#[test]
fn every_target_keeps_its_laws() {
    let this = std::env::current_exe().expect("this test");
    let directory = tempfile::tempdir().expect("a temporary directory");
    for target in &targets::TARGETS {
        let input = directory.path().join(target.name);
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 2097152; exec \"$0\" \"$@\""])
            .arg(&this)
            .args(["fuzz::one_target", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(TARGET, target.name)
            .env(INPUT, &input)
            .output()
            .expect("a shell");
        let said = |output: &Output| {
            let text = [&output.stdout[..], &output.stderr].concat();
            String::from_utf8_lossy(&text).into_owned()
        };
        let bytes = std::fs::read(&input).unwrap_or_default();
        assert!(
            output.status.success() && said(&output).contains("1 passed"),
            "{}: {}\n{}\nthe input: {}",
            target.name,
            output.status,
            said(&output),
            bytes.escape_ascii().to_string().chars().take(2000).collect::<String>()
        );
    }
}

#[test]
#[ignore = "every_target_keeps_its_laws starts it, with a target"]
fn one_target() {
    let Ok(name) = std::env::var(TARGET) else { return };
    let target = targets::target(&name).expect("a target");
    let seconds = std::env::var(SECONDS).map_or(0.5, |s| s.parse().expect("seconds"));
    let (time, input) = (Duration::from_secs_f64(seconds), std::env::var(INPUT).expect("a path"));
    let report = targets::run(target, &corpus(&name), 1, time, Path::new(&input));
    let first = (target.seeds)().len() + targets::inputs(&corpus(&name)).len();
    assert!(report.executions > first as u64 && report.accepted > 0, "{report:?}");
}

/// Every target has a program for cargo-fuzz, and seeds that are committed and small.
#[test]
fn every_target_has_its_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    let programs = root.join("fuzz_targets").read_dir().expect("programs").count();
    assert_eq!(programs, targets::TARGETS.len());
    for target in &targets::TARGETS {
        let name = target.name;
        assert!(root.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let inputs = targets::inputs(&corpus(name));
        assert!(!inputs.is_empty(), "{name} has no seeds: `plain seeds` writes them");
        assert!(inputs.iter().all(|input| input.len() <= 1 << 16), "{name} has a large seed");
    }
}
