//! Whether a recording fits this machine: asked before its memory is, so that the answer can be a
//! message.

use crate::ModelError;

/// Refuses what needs more memory than the machine has, swap included. Where the system does not tell
/// how much that is, the allocator is asked.
pub(crate) fn afford(needed: u128) -> Result<(), ModelError> {
    let there = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let fits = match there {
        Some(there) => needed <= there,
        None => usize::try_from(needed)
            .is_ok_and(|needed| Vec::<u8>::new().try_reserve_exact(needed).is_ok()),
    };
    if fits { Ok(()) } else { Err(ModelError::Memory { needed, there }) }
}

/// Bytes of memory and swap, from Linux's `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u128> {
    let kibibytes = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u128>().ok()
    };
    Some(1024 * (kibibytes("MemTotal:")? + kibibytes("SwapTotal:").unwrap_or(0)))
}

/// A number of bytes for people: three digits and a unit.
pub(crate) fn bytes(n: u128) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} bytes");
    }
    let mut size = n as f64 / 1e3;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1e3;
        unit += 1;
    }
    let digits = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_swap_are_added() {
        let text = "MemTotal:  16 kB\nMemFree: 3 kB\nSwapTotal:       4 kB\n";
        assert_eq!(total(text), Some(20 * 1024));
        assert_eq!(total("MemFree: 3 kB"), None);
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(afford(1 << 20).is_ok());
        assert!(afford(1 << 60).is_err());
        assert!(afford(u128::MAX).is_err());
    }

    #[test]
    fn sizes_have_three_digits() {
        let shown = [999, 1000, 12_340, 999_600, 16_500_000_000].map(bytes);
        assert_eq!(shown, ["999 bytes", "1.00 kB", "12.3 kB", "1.00 MB", "16.5 GB"]);
    }
}
