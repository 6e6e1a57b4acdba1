//! The program's memory as reported by the operating system.

/// Returns the largest resident size so far, in bytes; `None` if the system does not report it.
pub(crate) fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// Returns the resident size, in bytes; `None` if the system does not report it.
pub(crate) fn now() -> Option<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kibibytes)
}

/// Resets the largest size to the present one, if the system can.
pub(crate) fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Formats a number of bytes.
pub(crate) fn bytes(n: u128) -> String {
    match n as f64 {
        n if n < 1e9 => format!("{:.0} MB", (n / 1e6).ceil()),
        n => format!("{:.1} GB", n / 1e9),
    }
}
