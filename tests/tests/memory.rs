//! Files of a model are written and read piece by piece: at most a tenth of the model is in memory beside it. The only
//! test of its process, whose peak it measures.

use transformer::Architecture;
use transformer::disk::files::{self, NumberFormat};

/// A line of this process's status, in bytes; `None` where the system has no such file.
fn status(key: &str) -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?)
}

#[test]
fn a_model_is_in_memory_once() {
    let config = Architecture {
        vocabulary: 4000,
        context: 64,
        width: 1024,
        heads: 16,
        hidden: 1024,
        layers: 1,
        tied: true,
        // With matrices that lie in the file as here, and some that are turned.
        ..transformer::model::family::usual("llama").expect("a family")
    };
    let Some(before) = status("VmRSS:") else { return println!("skipped: no /proc here") };
    let directory = tempfile::tempdir().unwrap();
    let size = config.parameters() * size_of::<f32>();
    assert!(size > 40_000_000, "{size}");
    for format in [NumberFormat::Bf16, NumberFormat::F64] {
        let parameters: Vec<f32> =
            (0..config.parameters()).map(|i| (i % 251) as f32 / 256.0).collect();
        files::write_as(directory.path(), &config, &parameters, format).unwrap();
        drop(parameters);
        let (read, parameters) = files::read::<f32>(directory.path()).unwrap();
        assert_eq!(read, config);
        let right = |(i, x): (usize, &f32)| *x == (i % 251) as f32 / 256.0;
        assert!(parameters.iter().enumerate().all(right), "{format}");
        let peak = (status("VmHWM:").unwrap() - before) as f64 / size as f64;
        println!("{format}: {peak:.3} times the model's size in f32");
        assert!(peak < 1.1, "{format}: {peak}");
    }
}
