//! How many threads a memory- and arithmetic-bound engine should use by default.

use std::num::NonZero;

/// One thread per physical core that this process may use.
///
/// A second hyper-thread of a core adds no arithmetic units and no bandwidth, and an efficiency
/// core makes the others wait, so neither is counted:
/// - Linux: the cores named by `/sys/devices/system/cpu` (performance cores only where the kernel
///   tells them apart, by `cpu_core/cpus` on x86 and `cpu_capacity` on Arm);
/// - macOS: `hw.perflevel0.physicalcpu`, else `hw.physicalcpu`;
/// - elsewhere: the logical processors divided by the processors of a core.
///
/// Never more than `std::thread::available_parallelism`, which knows affinity masks and cgroup
/// limits; at least 1.
pub fn default_threads() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, NonZero::get);
    physical_cores(usable).unwrap_or(usable).clamp(1, usable)
}

#[cfg(target_os = "linux")]
fn physical_cores(_usable: usize) -> Option<usize> {
    linux_cores(std::path::Path::new("/sys/devices"))
}

/// Physical cores under a `/sys/devices` folder; `None` when it does not say.
#[cfg(target_os = "linux")]
fn linux_cores(devices: &std::path::Path) -> Option<usize> {
    use std::collections::BTreeSet;
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let cpus = devices.join("system/cpu");
    let online = match read(devices.join("cpu_core/cpus")) {
        Some(performance) => parse_list(&performance)?,
        None => parse_list(&read(cpus.join("online"))?)?,
    };
    let capacity =
        |cpu: usize| read(cpus.join(format!("cpu{cpu}/cpu_capacity"))).and_then(|text| text.parse::<u32>().ok());
    let largest = online.iter().filter_map(|&cpu| capacity(cpu)).max().unwrap_or(0);
    let mut cores = BTreeSet::new();
    for cpu in online {
        // Half of the largest capacity: middle cores help, little ones hold the others up.
        if capacity(cpu).is_some_and(|capacity| capacity.saturating_mul(2) < largest) {
            continue;
        }
        let topology = cpus.join(format!("cpu{cpu}/topology"));
        let siblings = read(topology.join("core_cpus_list")).or_else(|| read(topology.join("thread_siblings_list")));
        cores.insert(siblings.unwrap_or_else(|| cpu.to_string()));
    }
    Some(cores.len()).filter(|&count| count > 0)
}

/// The numbers of a kernel list such as `0-3,8`.
#[cfg(target_os = "linux")]
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
        // A range longer than any kernel allows is a broken file, not a machine.
        if last.checked_sub(first)? > 65_536 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(target_os = "macos")]
fn physical_cores(_usable: usize) -> Option<usize> {
    let read = |name: &std::ffi::CStr| {
        let mut value: libc::c_int = 0;
        let mut size = size_of::<libc::c_int>();
        // SAFETY: `name` ends in NUL, `value` has `size` bytes, and nothing is written to the system.
        let status = unsafe {
            libc::sysctlbyname(name.as_ptr(), (&raw mut value).cast(), &raw mut size, std::ptr::null_mut(), 0)
        };
        usize::try_from(value).ok().filter(|&count| status == 0 && count > 0)
    };
    read(c"hw.perflevel0.physicalcpu").or_else(|| read(c"hw.physicalcpu"))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn physical_cores(usable: usize) -> Option<usize> {
    Some(usable / processors_per_core())
}

/// Logical processors of one core, from CPUID leaf 0xB (x86 manuals: "extended topology").
#[cfg(all(not(any(target_os = "linux", target_os = "macos")), target_arch = "x86_64"))]
#[allow(unused_unsafe, reason = "cpuid became a safe function in a later toolchain than the minimum")]
fn processors_per_core() -> usize {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // SAFETY: every x86-64 processor has CPUID, and leaf 0xB is only asked for when it exists.
    let count = unsafe { if __cpuid(0).eax < 0xB { 1 } else { __cpuid_count(0xB, 0).ebx & 0xFFFF } };
    (count as usize).max(1)
}

#[cfg(all(not(any(target_os = "linux", target_os = "macos")), not(target_arch = "x86_64")))]
fn processors_per_core() -> usize {
    1
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn machine(name: &str, files: &[(&str, &str)]) -> Option<usize> {
        let root = std::env::temp_dir().join(format!("turbo-cpu-cores-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let cores = linux_cores(&root);
        std::fs::remove_dir_all(&root).unwrap();
        cores
    }

    #[test]
    fn hyper_threads_count_once() {
        let files = [
            ("system/cpu/online", "0-3\n"),
            ("system/cpu/cpu0/topology/core_cpus_list", "0,2\n"),
            ("system/cpu/cpu1/topology/core_cpus_list", "1,3\n"),
            ("system/cpu/cpu2/topology/core_cpus_list", "0,2\n"),
            ("system/cpu/cpu3/topology/core_cpus_list", "1,3\n"),
        ];
        assert_eq!(machine("smt", &files), Some(2));
    }

    #[test]
    fn efficiency_cores_are_left_out() {
        let hybrid = [("system/cpu/online", "0-5"), ("cpu_core/cpus", "0-1")];
        assert_eq!(machine("hybrid", &hybrid), Some(2));
        let big_little = [
            ("system/cpu/online", "0-2"),
            ("system/cpu/cpu0/cpu_capacity", "400"),
            ("system/cpu/cpu1/cpu_capacity", "1024"),
            ("system/cpu/cpu2/cpu_capacity", "870"),
        ];
        assert_eq!(machine("arm", &big_little), Some(2));
    }

    #[test]
    fn broken_lists_are_no_answer() {
        for text in ["3-1", "x", "0-99999999999", "-"] {
            assert_eq!(parse_list(text), None, "{text}");
        }
        assert_eq!(parse_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert!(default_threads() >= 1);
    }
}
