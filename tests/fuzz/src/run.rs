//! Runs a target for some time, without cargo-fuzz.

use super::{ACCEPTED, OUTCOME, Target, mutate};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a run of a target did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Inputs that were tried.
    pub executions: u64,
    /// Of them, those that the target is for.
    pub accepted: u64,
    /// Different outcomes.
    pub outcomes: usize,
    /// The longest that one input took.
    pub slowest: Duration,
}

/// No input takes longer, also on a machine that does other things.
const LONGEST: Duration = Duration::from_secs(10);
/// No input is longer than this, in bytes.
const LARGEST: usize = 1 << 14;

/// Inputs that were kept: a directory's files, in the order of their names.
pub fn inputs(directory: &Path) -> Vec<Vec<u8>> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

/// Tries every input of `corpus`, and then mutations of them until the time is up. An input that leads elsewhere than
/// all before it is mutated too. Every input is written to `current` before it is tried, so that it is there when the
/// process ends.
///
/// # Panics
/// Where a law does not hold, an input takes too long, or one that the target made is not accepted.
pub fn run(target: &Target, corpus: &Path, seed: u64, time: Duration, current: &Path) -> Report {
    let mut file = File::create(current).expect("a file for the input");
    let (mut report, mut known) = (Report::default(), HashSet::new());
    let mut pool = Vec::new();
    let mut attempt = |input: Vec<u8>, report: &mut Report, pool: &mut Vec<Vec<u8>>| {
        let noted = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&input));
        noted.and_then(|()| file.set_len(input.len() as u64)).expect("the input can be written");
        OUTCOME.set(0);
        ACCEPTED.set(false);
        let began = Instant::now();
        (target.body)(&input);
        let took = began.elapsed();
        assert!(took < LONGEST, "this input takes {took:.1?}");
        report.slowest = report.slowest.max(took);
        report.executions += 1;
        report.accepted += u64::from(ACCEPTED.get());
        if known.insert(OUTCOME.get()) {
            report.outcomes += 1;
            pool.push(input);
        }
    };
    let (own, kept) = ((target.seeds)(), inputs(corpus));
    for input in &own {
        attempt(input.clone(), &mut report, &mut pool);
        assert!(ACCEPTED.get(), "the target does not accept its own seed");
    }
    for input in &kept {
        attempt(input.clone(), &mut report, &mut pool);
    }
    let first = own.len() + kept.len();
    pool = own.into_iter().chain(kept).chain(pool).collect();
    let began = Instant::now();
    for i in 0.. {
        if began.elapsed() >= time {
            break;
        }
        // Half of the time one of the first inputs: most of what leads elsewhere is refused early.
        let drawn = |n: u64| hash(&(seed ^ (4 * i + n)).to_le_bytes());
        let among = if i % 2 == 0 { first } else { pool.len() };
        let (a, b) = (drawn(0) as usize % among, drawn(1) as usize % pool.len());
        let mut input = mutate(target.layout, &pool[a], &pool[b], drawn(2));
        input.truncate(LARGEST);
        attempt(input, &mut report, &mut pool);
    }
    report
}

/// A digest of some bytes: FNV-1a, then mixed.
pub fn hash(bytes: &[u8]) -> u64 {
    let digest = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    (digest ^ (digest >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1
}
