//! Finding the GPUs of a machine and choosing one.

use std::fmt;

use pollster::block_on;
use serde::Serialize;
use wgpu::{Backend, Backends, DeviceType, DownlevelFlags};

use crate::capabilities::{Capabilities, check_minimum};
use crate::device_memory::DeviceMemory;
use crate::error::GpuError;

/// Kind of adapters that a processor plays.
const SOFTWARE: &str = "software";

/// Parts of names of such adapters: some drivers say another kind.
const SOFTWARE_NAMES: [&str; 6] =
    ["llvmpipe", "lavapipe", "softpipe", "swiftshader", "microsoft basic render", "swrast"];

/// A GPU, as one graphics API shows it.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(crate) raw: wgpu::Adapter,
    /// What it is.
    pub description: Description,
}

/// What a GPU is, for people and for `devices --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Number to choose it by.
    pub index: usize,
    /// Name to choose it by.
    pub name: String,
    /// Graphics API: vulkan, metal, dx12 or gl.
    pub backend: &'static str,
    /// discrete GPU, integrated GPU, virtual GPU, software or other.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Why it is not used, if so.
    pub refused: Option<String>,
    /// Index of the entry that shows the same device through a better API, if there is one.
    pub same_as: Option<usize>,
    /// Its memory, if the driver says.
    pub memory: Option<DeviceMemory>,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl Description {
    /// Whether a processor plays this GPU.
    pub fn is_software(&self) -> bool {
        self.kind == SOFTWARE
    }

    /// Why it is chosen only when it is named, if so.
    fn left_out(&self) -> Option<String> {
        match (&self.refused, self.same_as) {
            (Some(reason), _) => Some(format!("refused, {reason}")),
            (None, Some(index)) => Some(format!("the same as {index}")),
            (None, None) if self.is_software() => Some("only used when named".to_owned()),
            (None, None) => None,
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, name, backend, kind, .. } = self;
        write!(f, "{index}: {name} ({backend}, {kind})")
    }
}

/// All GPUs of this machine, GL last; best kind first, and of one kind the best API first.
///
/// `WGPU_BACKEND` limits the APIs.
pub fn adapters() -> Vec<Adapter> {
    let mut adapters = Vec::new();
    enumerate(Backends::all() - Backends::GL, &mut adapters);
    enumerate(Backends::GL, &mut adapters);
    adapters
}

/// Those that are not refused.
pub fn usable_adapters() -> Vec<Adapter> {
    adapters().into_iter().filter(|adapter| adapter.description.refused.is_none()).collect()
}

/// The GPU that `asked` names, as [`choose`] reads it. GL is looked at only when nothing else fits: it starts slowly.
///
/// # Errors
/// As [`choose`].
pub fn find(asked: &str) -> Result<Adapter, GpuError> {
    let mut adapters = Vec::new();
    enumerate(Backends::all() - Backends::GL, &mut adapters);
    choose(&adapters, asked).or_else(|_| {
        enumerate(Backends::GL, &mut adapters);
        choose(&adapters, asked)
    })
}

/// Adds what the APIs among `backends` show to `adapters`.
fn enumerate(backends: Backends, adapters: &mut Vec<Adapter>) {
    let backends = backends & Backends::from_env().unwrap_or(Backends::all());
    if (backends & wgpu::Instance::enabled_backend_features()).is_empty() {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty().with_env(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found = block_on(instance.enumerate_adapters(backends));
    found.sort_by_key(|a| {
        let info = a.get_info();
        (kind_rank(info.device_type), backend_rank(info.backend))
    });
    for raw in found {
        let description = describe(&raw, adapters);
        adapters.push(Adapter { raw, description });
    }
}

const fn kind_rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

const fn backend_rank(backend: Backend) -> u8 {
    match backend {
        Backend::Metal => 0,
        Backend::Vulkan => 1,
        Backend::Dx12 => 2,
        _ => 3,
    }
}

const fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Metal => "metal",
        Backend::Vulkan => "vulkan",
        Backend::Dx12 => "dx12",
        Backend::Gl => "gl",
        Backend::BrowserWebGpu => "webgpu",
        Backend::Noop => "noop",
    }
}

fn describe(raw: &wgpu::Adapter, before: &[Adapter]) -> Description {
    let info = raw.get_info();
    let name = info.name.to_lowercase();
    let kind = match info.device_type {
        _ if SOFTWARE_NAMES.iter().any(|software| name.contains(software)) => SOFTWARE,
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => SOFTWARE,
        DeviceType::Other => "other",
    };
    let compute = raw.get_downlevel_capabilities().flags.contains(DownlevelFlags::COMPUTE_SHADERS);
    let refused = match check_minimum(&info.name, &raw.limits()) {
        _ if !compute => Some("it has no compute shaders".to_owned()),
        Err(GpuError::Limit { limit, found, needed, .. }) => Some(format!("{limit} is {found}, needed is {needed}")),
        _ => None,
    };
    Description {
        index: before.len(),
        backend: backend_name(info.backend),
        kind,
        driver: [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_owned(),
        refused,
        same_as: same_device(&info, before),
        memory: DeviceMemory::of(raw),
        capabilities: Capabilities::of(raw),
        name: info.name,
    }
}

/// The entry of another API that shows the same device, unless an earlier one of this API stands for it.
fn same_device(info: &wgpu::AdapterInfo, before: &[Adapter]) -> Option<usize> {
    let taken = |index: usize| {
        before.iter().any(|a| a.description.same_as == Some(index) && a.raw.get_info().backend == info.backend)
    };
    let name = info.name.to_lowercase();
    let found = before.iter().find(|a| {
        let other = a.raw.get_info();
        let ids = other.vendor == info.vendor && other.device == info.device && info.device != 0;
        // GL has no ids and adds to the name: `NVIDIA H200/PCIe/SSE2`.
        let named = info.backend == Backend::Gl && name.contains(&other.name.to_lowercase());
        let first = a.description.same_as.is_none();
        first && other.backend != info.backend && (ids || named) && !taken(a.description.index)
    })?;
    Some(found.description.index)
}

/// Chooses one of `adapters` as `asked` says.
///
/// `auto` and `gpu` mean the adapter that `WGPU_ADAPTER_NAME` names, or else the best that is not software: discrete
/// before integrated, then the one with most free memory; a number
/// means an index; anything else a part of a name, after `vulkan:`, `metal:`, `dx12:` or `gl:` with that API only.
///
/// # Errors
/// Nothing matches, what matches is refused, or several match: the message lists what there is.
pub fn choose(adapters: &[Adapter], asked: &str) -> Result<Adapter, GpuError> {
    let wanted = match asked {
        "auto" | "gpu" => adapter_variable(),
        name => Some(name.to_owned()),
    };
    let descriptions: Vec<&Description> = adapters.iter().map(|a| &a.description).collect();
    let index = pick(&descriptions, asked, wanted.as_deref())?;
    adapters.get(index).cloned().ok_or_else(|| missing(&descriptions, asked))
}

/// Index of the description that `wanted` (or, without it, preference) chooses.
fn pick(all: &[&Description], asked: &str, wanted: Option<&str>) -> Result<usize, GpuError> {
    let Some(wanted) = wanted else {
        return best(all).ok_or_else(|| unusable(all));
    };
    if let Ok(index) = wanted.parse::<usize>() {
        return match all.get(index) {
            Some(d) => usable(d, asked).map(|()| index),
            None => Err(missing(all, asked)),
        };
    }
    let lower = wanted.to_lowercase();
    let (backend, name) = match lower.split_once(':') {
        Some((backend, name)) if ["vulkan", "metal", "dx12", "gl"].contains(&backend) => (Some(backend), name),
        _ => (None, lower.as_str()),
    };
    let fits = |d: &Description| {
        let api = backend.map_or(d.same_as.is_none(), |b| d.backend == b);
        api && d.name.to_lowercase().contains(name)
    };
    let found: Vec<usize> = (0..all.len()).filter(|&i| fits(all[i])).collect();
    let exact = found.iter().copied().find(|&i| all[i].name.eq_ignore_ascii_case(wanted));
    match (found.as_slice(), exact) {
        ([], _) => Err(missing(all, wanted)),
        (_, Some(index)) | (&[index], _) => usable(all[index], asked).map(|()| index),
        (several, None) => {
            let same = several.iter().all(|&i| all[i].name == all[several[0]].name);
            if same {
                return usable(all[several[0]], asked).map(|()| several[0]);
            }
            let matching = several.iter().map(|&i| all[i].to_string()).collect::<Vec<_>>().join("; ");
            Err(GpuError::Ambiguous { asked: wanted.to_owned(), matching })
        }
    }
}

fn usable(d: &Description, asked: &str) -> Result<(), GpuError> {
    match &d.refused {
        None => Ok(()),
        Some(reason) => {
            Err(GpuError::NoSuchDevice { asked: asked.to_owned(), available: format!("{d} is refused: {reason}") })
        }
    }
}

/// The GPU that is taken unless one is named: discrete before integrated, any API before GL, then the one with most free
/// memory, then the first.
fn best(all: &[&Description]) -> Option<usize> {
    let rank = |d: &Description| {
        let kind = match d.kind {
            "discrete GPU" => 3,
            "integrated GPU" => 2,
            "virtual GPU" => 1,
            _ => 0,
        };
        let memory = d.memory.map_or(0, |memory| memory.free.unwrap_or(memory.total));
        (d.backend != "gl", kind, memory)
    };
    let usable = (0..all.len()).filter(|&i| all[i].left_out().is_none());
    // The last of the largest is found: the first is wanted.
    usable.rev().max_by_key(|&i| rank(all[i]))
}

const NO_DRIVER: &str = "no Vulkan, Metal, DX12 or GL driver was found on this machine; --device cpu needs none";

/// All devices, with the reasons why they are not chosen by themselves.
fn list(all: &[&Description]) -> String {
    let one = |d: &&Description| d.left_out().map_or_else(|| d.to_string(), |reason| format!("{d}: {reason}"));
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn missing(all: &[&Description], asked: &str) -> GpuError {
    let available = if all.is_empty() { NO_DRIVER.to_owned() } else { format!("available are {}", list(all)) };
    GpuError::NoSuchDevice { asked: asked.to_owned(), available }
}

fn unusable(all: &[&Description]) -> GpuError {
    GpuError::NoUsableDevice { available: if all.is_empty() { NO_DRIVER.to_owned() } else { list(all) } }
}

/// What is used where nothing is named.
#[derive(Clone, Debug)]
pub enum Automatic {
    /// This GPU.
    Gpu {
        /// The GPU.
        adapter: Box<Adapter>,
        /// Why, in a few words.
        reason: String,
    },
    /// The CPU.
    Cpu {
        /// Why, in a few words.
        reason: String,
    },
}

/// The best GPU that is not software, or else the CPU; `WGPU_ADAPTER_NAME` names a GPU here too. GL is looked at only where
/// nothing else shows a GPU and the system has one.
///
/// # Errors
/// The GPU that the variable names is not there or cannot be used.
pub fn automatic() -> Result<Automatic, GpuError> {
    if let Some(name) = adapter_variable() {
        let reason = format!("{ADAPTER_VARIABLE} names it");
        return find(&name).map(|adapter| Automatic::Gpu { adapter: Box::new(adapter), reason });
    }
    let mut adapters = Vec::new();
    enumerate(Backends::all() - Backends::GL, &mut adapters);
    let found = |adapters: &[Adapter]| best(&adapters.iter().map(|a| &a.description).collect::<Vec<_>>());
    let mut index = found(&adapters);
    if index.is_none() && has_graphics_hardware() {
        enumerate(Backends::GL, &mut adapters);
        index = found(&adapters);
    }
    let descriptions: Vec<&Description> = adapters.iter().map(|a| &a.description).collect();
    Ok(match index.and_then(|index| adapters.get(index)) {
        Some(adapter) => Automatic::Gpu { adapter: Box::new(adapter.clone()), reason: why_gpu(&descriptions) },
        None => Automatic::Cpu { reason: why_cpu(&descriptions) },
    })
}

fn why_gpu(all: &[&Description]) -> String {
    match all.iter().filter(|d| d.left_out().is_none()).count() {
        1 => "the only GPU".to_owned(),
        n => format!("the best of {n} GPUs"),
    }
}

fn why_cpu(all: &[&Description]) -> String {
    let refused = all.iter().find_map(|d| Some((d, d.refused.as_ref()?)));
    match (refused, all.is_empty()) {
        (Some((d, reason)), _) => format!("no GPU can be used, {d} is refused: {reason}"),
        (None, false) => "the only GPUs here are software".to_owned(),
        (None, true) => "no GPU was found".to_owned(),
    }
}

/// Whether the system knows of graphics hardware; where it does not say, there may be some.
fn has_graphics_hardware() -> bool {
    let nodes = || std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    !cfg!(target_os = "linux")
        || nodes().any(|node| node.file_name().to_string_lossy().starts_with("renderD"))
        || ["/dev/nvidiactl", "/dev/dxg"].iter().any(|node| std::path::Path::new(node).exists())
}

/// The variable by which wgpu programs are told their adapter.
const ADAPTER_VARIABLE: &str = "WGPU_ADAPTER_NAME";

fn adapter_variable() -> Option<String> {
    std::env::var(ADAPTER_VARIABLE).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
