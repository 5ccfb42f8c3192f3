//! How much memory there is, and how much a model takes.

use std::fs;

/// Bytes that a plan takes on a device besides its KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeeds {
    /// Weights as they lie there.
    pub weights: u64,
    /// Weights that are read from the mapped file, which the system drops from memory if it must.
    pub mapped: u64,
    /// Activations and whatever else the steps work in, for the largest batch at the end of the context.
    pub working: u64,
}

/// Bytes that an engine has taken on its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Weights.
    pub weights: u64,
    /// KV caches.
    pub kv: u64,
    /// Everything else that steps work in.
    pub working: u64,
    /// Most of all these together at any time, and what weights went through.
    pub peak: u64,
    /// What the driver says that this process takes now, if it does.
    pub driver: Option<u64>,
}

/// Bytes that this process may still allocate: what the system has available, or what is left of the
/// control group's limit if that is less. `None` where the system does not say.
pub fn available_bytes() -> Option<u64> {
    let system = system_available();
    let group = cgroup_left();
    match (system, group) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn system_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

fn cgroup_left() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let v2 = || Some((read("/sys/fs/cgroup/memory.max")?, read("/sys/fs/cgroup/memory.current")?));
    let v1 = || {
        let folder = "/sys/fs/cgroup/memory";
        Some((read(&format!("{folder}/memory.limit_in_bytes"))?, read(&format!("{folder}/memory.usage_in_bytes"))?))
    };
    let (limit, used) = v2().or_else(v1)?;
    Some(limit.saturating_sub(used))
}
