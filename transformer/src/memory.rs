//! Checks whether an allocation fits the memory available to this process, before it is made, so that the answer is an
//! error message.
//!
//! On Linux the limit is the least of three: the memory available on the machine (with swap), what the process's
//! control groups leave (versions 1 and 2, every level up to the root), and what `ulimit -v` and `ulimit -d` leave of
//! its address space and data. On other systems the allocator is asked.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::read_to_string;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// An allocation larger than the memory available to this process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this takes {} of memory{}", bytes(*needed), room.as_ref().map_or(String::new(), |room| format!(" and {room}")))]
pub struct MemoryError {
    /// The bytes that are needed.
    pub needed: u128,
    /// The available memory, if the system reports it.
    pub room: Option<Room>,
}

/// Memory that this process may still allocate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u128,
    /// The limit that leaves this room.
    pub limit: Limit,
}

/// A limit on a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The machine's memory and swap that nothing else uses.
    Machine,
    /// A control group (of a container, a service or a batch job), by its directory.
    ControlGroup(PathBuf),
    /// The address space, `ulimit -v`.
    AddressSpace,
    /// The data segment, `ulimit -d`.
    Data,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = bytes(self.bytes);
        match &self.limit {
            Limit::Machine => write!(f, "the machine has {bytes} available"),
            Limit::ControlGroup(group) => {
                write!(f, "the control group {} leaves {bytes}", group.display())
            }
            Limit::AddressSpace => {
                write!(f, "the limit of the address space (ulimit -v) leaves {bytes}")
            }
            Limit::Data => write!(f, "the limit of data (ulimit -d) leaves {bytes}"),
        }
    }
}

/// Smaller allocations are not checked.
const SMALL: u128 = 1 << 20;

/// Refuses an allocation larger than the memory available to this process. If the system does not report that, the
/// allocator is asked.
///
/// ```
/// assert!(transformer::memory::afford(1 << 20).is_ok());
/// let error = transformer::memory::afford(1 << 60).unwrap_err().to_string();
/// assert!(error.starts_with("this takes 1.15 EB of memory"), "{error}");
/// ```
///
/// # Errors
/// An error that states the bytes needed and the limit.
pub fn afford(needed: u128) -> Result<(), MemoryError> {
    if needed <= SMALL {
        return Ok(());
    }
    afford_of(room(), needed)
}

/// Like [`afford`], but for the room measured before the first part was allocated: memory that was allocated but not
/// written to does not show.
///
/// # Errors
/// See [`afford`].
pub fn afford_of(room: Option<Room>, needed: u128) -> Result<(), MemoryError> {
    let fits = match &room {
        Some(room) => needed <= room.bytes,
        None => usize::try_from(needed)
            .is_ok_and(|needed| Vec::<u8>::new().try_reserve_exact(needed).is_ok()),
    };
    if fits { Ok(()) } else { Err(MemoryError { needed, room }) }
}

/// Refuses threads whose stacks do not fit the address space.
///
/// # Errors
/// An error that states the bytes needed and the limit.
pub fn afford_threads(threads: usize) -> Result<(), MemoryError> {
    let needed = threads as u128 * STACK;
    let least = limits(Path::new("/")).into_iter().min_by_key(|room| room.bytes);
    match least {
        Some(room) if needed > room.bytes => Err(MemoryError { needed, room: Some(room) }),
        _ => Ok(()),
    }
}

/// Address space of a thread's stack and of the heap that the allocator keeps for it.
const STACK: u128 = (2 << 20) + (1 << 20);

/// Returns whether `ulimit -v` limits this process's address space.
pub fn address_space_is_limited() -> bool {
    limits(Path::new("/")).iter().any(|room| room.limit == Limit::AddressSpace)
}

/// Returns the memory this process may still allocate and its limit; `None` if the system does not report it.
pub fn room() -> Option<Room> {
    room_below(Path::new("/"))
}

/// Like [`room`], for a system whose files are below `root`.
fn room_below(root: &Path) -> Option<Room> {
    let rooms = available(root).into_iter().chain(limits(root)).chain(control_groups(root));
    rooms.min_by_key(|room| room.bytes)
}

/// Returns the machine's free memory: what the kernel would give without swapping, plus free swap.
fn available(root: &Path) -> Option<Room> {
    let text = read_to_string(root.join("proc/meminfo")).ok()?;
    let or_all = |key, all| kibibytes(&text, key).or_else(|| kibibytes(&text, all));
    let bytes = or_all("MemAvailable:", "MemTotal:")?
        + or_all("SwapFree:", "SwapTotal:").unwrap_or_default();
    Some(Room { bytes, limit: Limit::Machine })
}

/// Reads a line `key n kB`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u128> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u128>().ok().map(|n| 1024 * n)
}

/// Returns what `ulimit` leaves.
fn limits(root: &Path) -> Vec<Room> {
    let read = |name: &str| read_to_string(root.join("proc/self").join(name)).unwrap_or_default();
    let limits = read("limits");
    let kinds = [
        ("Max address space", "VmSize:", Limit::AddressSpace),
        ("Max data size", "VmData:", Limit::Data),
    ];
    let mut rooms = Vec::new();
    for (name, used, limit) in kinds {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        // The first number is the soft limit, which applies; "unlimited" does not parse.
        let most = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u128>().ok());
        let Some(most) = most else { continue };
        let used = kibibytes(&read("status"), used).unwrap_or_default();
        rooms.push(Room { bytes: most.saturating_sub(used + SLACK), limit });
    }
    rooms
}

/// Address space allocated beyond the request: 64 MiB that the allocator reserves for a second thread, and the stacks
/// of threads that a command starts later.
const SLACK: u128 = 96 << 20;

/// Returns what the control groups leave, from the process's own up to the root: a limit there applies here. Pages of
/// files not used recently are reclaimed under memory pressure, and count as free.
fn control_groups(root: &Path) -> Vec<Room> {
    let mut rooms = Vec::new();
    let text = read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mounts, names): (&[&str], _) = if controllers.is_empty() {
            let names = ["memory.max", "memory.current", "inactive_file "];
            (&["sys/fs/cgroup", "sys/fs/cgroup/unified"], names)
        } else if controllers.split(',').any(|c| c == "memory") {
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
            (&["sys/fs/cgroup/memory"], names)
        } else {
            continue;
        };
        // In a container the path may be one outside it; the group itself is then mounted at the root.
        let normal = |c: Component<'_>| match c {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        };
        let path: PathBuf = Path::new(path).components().filter_map(normal).collect();
        for mount in mounts {
            for group in path.ancestors() {
                rooms.extend(control_group(
                    &root.join(mount).join(group).components().collect::<PathBuf>(),
                    names,
                ));
            }
        }
    }
    rooms
}

fn control_group(directory: &Path, [most, used, reclaimable]: [&str; 3]) -> Option<Room> {
    /// Version 1 writes "no limit" as a number larger than any machine's memory.
    const NONE: u128 = 1 << 60;
    let read = |name: &str| read_to_string(directory.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u128>().ok();
    let most = number(most).filter(|n| *n < NONE)?;
    let stat = read("memory.stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix(reclaimable));
    let given_back = line.and_then(|n| n.trim().parse::<u128>().ok()).unwrap_or_default();
    let used = number(used).unwrap_or_default().saturating_sub(given_back);
    let limit = Limit::ControlGroup(directory.to_owned());
    Some(Room { bytes: most.saturating_sub(used), limit })
}

/// Formats a number of bytes with three digits and a unit.
pub fn bytes(n: u128) -> String {
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

/// A number of bytes as people write it: `6GB`, `800MB`, `1.5 GiB`, `4096`.
///
/// ```
/// use transformer::memory::Bytes;
/// assert_eq!("1.5GB".parse(), Ok(Bytes(1_500_000_000)));
/// assert_eq!("2 GiB".parse(), Ok(Bytes(2 << 30)));
/// assert!("six".parse::<Bytes>().unwrap_err().to_string().contains("expected"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A text that is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("found \"{0}\", expected a size above 0 such as 800MB, 6GB or 4GiB")]
pub struct BytesError(String);

/// Units and their sizes, the largest first; a text may end with any of them, and a size is written with the first that divides it.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        const SHORT: [(&str, u64); 3] = [("k", 1000), ("m", 1_000_000), ("g", 1_000_000_000)];
        let wrong = || BytesError(text.chars().take(40).collect());
        let given = text.trim().to_ascii_lowercase();
        let with_unit = UNITS.iter().chain(&SHORT).find_map(|(unit, size)| {
            Some((given.strip_suffix(&unit.to_ascii_lowercase())?, *size))
        });
        let (number, unit) = with_unit.unwrap_or((given.as_str(), 1));
        let (whole, part) = number.trim_end().split_once('.').unwrap_or((number.trim_end(), ""));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        // More digits are no size; these fit 128 bits.
        if whole.len() > 20 || part.len() > 12 || !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        let scale = 10_u128.pow(part.len() as u32);
        let scaled: u128 = format!("{whole}{part}").parse().map_err(|_| wrong())?;
        match u64::try_from(scaled.checked_mul(unit.into()).ok_or_else(wrong)? / scale) {
            Ok(bytes) if bytes > 0 => Ok(Bytes(bytes)),
            _ => Err(wrong()),
        }
    }
}

/// Writes the size so that it is read back exactly: `6GB`, `1536MiB`, `4097B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, size): &&(&str, u64)| self.0.is_multiple_of(*size);
        let (unit, size) = UNITS.iter().find(divides).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "GB",
            "-1GB",
            "1e9",
            "1.2.3MB",
            "0",
            "0.2",
            "six GB",
            "99999999999999999999999TB",
            "inf",
            "NaN",
            "0GB",
            "1.5.GB",
            ".",
            ".GB",
            "1 2GB",
            "18446744073709551616",
            "18446744073709.551616MB",
            "16777216TiB",
            "0.0000000000001TB",
            "6GBB",
            "6 G B",
            "+6GB",
            "６GB",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for (text, bytes) in [
            ("6GB", 6_000_000_000),
            ("800MB", 800_000_000),
            ("1.5GB", 1_500_000_000),
            ("6GiB", 6 << 30),
            ("0.5KiB", 512),
            (".5k", 500),
            ("7.kB", 7000),
            ("4096", 4096),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    proptest! {
        /// Every size is read back as it was written, and its JSON too.
        #[test]
        fn sizes_are_read_back(bytes in 1_u64.., zeros in 0_u32..64, unit in 0..UNITS.len(), count in 1_u64..10_000) {
            for n in [bytes, (bytes >> zeros).max(1) << zeros.min(bytes.leading_zeros()), count * UNITS[unit].1] {
                let size = Bytes(n);
                prop_assert_eq!(size.to_string().parse(), Ok(size));
                let json = serde_json::to_string(&size).unwrap();
                prop_assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap(), size);
            }
        }
    }
    use std::fs;

    /// A directory with these files in place of a system's.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MACHINE: (&str, &str) = (
        "proc/meminfo",
        "MemTotal: 16000000 kB\nMemFree: 3 kB\nMemAvailable: 8000000 kB\nSwapTotal: 100 kB\nSwapFree: 50 kB\n",
    );
    const FREE: (&str, &str) = (
        "proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax data size  unlimited  unlimited  bytes\nMax address space  \
         unlimited  unlimited  bytes\n",
    );

    #[test]
    fn what_is_available_counts_not_what_there_is() {
        let root = system(&[MACHINE, FREE]);
        let room = room_below(root.path()).unwrap();
        assert_eq!(room, Room { bytes: 8_000_050 * 1024, limit: Limit::Machine });
        // Kernels before 3.14 do not report it.
        let root = system(&[("proc/meminfo", "MemTotal: 16 kB\nSwapTotal: 4 kB\n")]);
        assert_eq!(room_below(root.path()).unwrap().bytes, 20 * 1024);
        assert_eq!(room_below(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn the_least_limit_counts_and_is_named() {
        let status = ("proc/self/status", "VmSize:\t  300000 kB\nVmData:\t 100000 kB\n");
        let limited = |name: &str| format!("{name}  1073741824  unlimited  bytes\n");
        for (name, used, said) in [
            ("Max address space", 300_000 * 1024, "ulimit -v"),
            ("Max data size", 100_000 * 1024, "ulimit -d"),
        ] {
            let root = system(&[MACHINE, status, ("proc/self/limits", &limited(name))]);
            let room = room_below(root.path()).unwrap();
            assert_eq!(room.bytes, (1 << 30) - used - SLACK);
            assert!(room.to_string().contains(said), "{room}");
        }
    }

    /// Covers versions 1 and 2, and limits of the group itself, of a parent, and of a container.
    #[test]
    fn control_groups_are_asked_at_every_level() {
        let (two, one) = ("0::/a/b\n", "4:memory:/a/b\n3:cpu:/\n");
        let gigabyte = "1073741824\n";
        for (groups, at) in [
            (two, "sys/fs/cgroup/a/b"),
            (two, "sys/fs/cgroup/a"),
            (two, "sys/fs/cgroup"),
            (two, "sys/fs/cgroup/unified/a"),
            (one, "sys/fs/cgroup/memory/a/b"),
            (one, "sys/fs/cgroup/memory/a"),
            (one, "sys/fs/cgroup/memory"),
            ("0::/../../a/b\n", "sys/fs/cgroup"),
        ] {
            let names = if groups == one {
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"]
            } else {
                ["memory.max", "memory.current", "inactive_file"]
            };
            let file = |name: &str| format!("{at}/{name}");
            let stat = format!("anon 5\n{} 48576\nslab 7\n", names[2]);
            let root = system(&[
                MACHINE,
                FREE,
                ("proc/self/cgroup", groups),
                (&file(names[0]), gigabyte),
                (&file(names[1]), "100048576\n"),
                (&file("memory.stat"), &stat),
            ]);
            let room = room_below(root.path()).unwrap();
            assert_eq!(room.bytes, (1 << 30) - 100_000_000, "{groups} {at}");
            let said = format!("control group {} leaves 974 MB", root.path().join(at).display());
            assert!(room.to_string().contains(&said), "{room}");
        }
        // No limit, as the two versions write it.
        for (name, none) in
            [("memory.max", "max"), ("memory.limit_in_bytes", "9223372036854771712")]
        {
            let (two, one) =
                (format!("sys/fs/cgroup/a/{name}"), format!("sys/fs/cgroup/memory/a/{name}"));
            let groups = "0::/a\n4:memory:/a\n";
            let root = system(&[MACHINE, ("proc/self/cgroup", groups), (&two, none), (&one, none)]);
            assert_eq!(room_below(root.path()).unwrap().limit, Limit::Machine);
        }
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
