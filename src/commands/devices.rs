//! `turbo-wgpu devices`

use std::io::Write;

use anyhow::Result;
use comfy_table::Table;
use turbo_cpu::CpuBackend;
use turbo_gpu::{
    Adapter, Automatic, Capabilities, Description, DeviceMemory, Gpu, GpuError, GpuOptions, Kernels, Timestamps,
};
use turbo_runtime::{Backend, available_bytes};

use crate::cli::DevicesArgs;
use crate::ui;

/// Prints the CPU and every GPU with what was found out about them.
pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    let cpu = Cpu::of_this_machine();
    let gpus: Vec<Shown> = turbo_gpu::adapters().into_iter().map(Shown::of).collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        let devices: Vec<_> = std::iter::once(Ok(cpu.json())).chain(gpus.iter().map(json)).collect::<Result<_>>()?;
        writeln!(out, "{}", serde_json::json!({ "devices": devices }))?;
        return Ok(());
    }
    writeln!(out, "{}", names(&cpu, &gpus))?;
    if !gpus.is_empty() {
        writeln!(out, "\n{}", decisions(&gpus))?;
    }
    for line in notes(&gpus, &automatic(turbo_gpu::automatic())) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The CPU as a device.
struct Cpu {
    name: String,
    description: String,
    threads: usize,
    memory: Option<u64>,
}

impl Cpu {
    fn of_this_machine() -> Self {
        let backend = CpuBackend::new(None);
        let info = backend.info();
        let memory = info.memory_bytes.or_else(available_bytes);
        Self { name: info.name, description: info.description, threads: backend.threads(), memory }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "kind": "cpu",
            "description": self.description,
            "threads": self.threads,
            "memory_bytes": self.memory,
            "models": true,
        })
    }
}

/// A GPU and what it runs.
struct Shown {
    gpu: Description,
    /// Kernels, or why it cannot be opened.
    kernels: Result<Kernels, String>,
}

impl Shown {
    /// Opens the GPU: what it runs is decided then.
    fn of(adapter: Adapter) -> Self {
        let kernels = match &adapter.description.refused {
            Some(reason) => Err(reason.clone()),
            None => Gpu::open(&adapter, &GpuOptions::default()).map(|gpu| Kernels::of(&gpu)).map_err(|e| e.to_string()),
        };
        Self { gpu: adapter.description, kernels }
    }
}

fn json(shown: &Shown) -> Result<serde_json::Value> {
    let gpu = &shown.gpu;
    let mut value = serde_json::to_value(gpu)?;
    if let Some(fields) = value.as_object_mut() {
        let kernels = shown.kernels.as_ref().map_or(Ok(serde_json::Value::Null), serde_json::to_value)?;
        fields.insert("kernels".into(), kernels);
        fields.insert("dot4i8".into(), dot4_path(gpu.backend).into());
        fields.insert("params".into(), params(&gpu.capabilities).into());
        fields.insert("models".into(), shown.kernels.is_ok().into());
    }
    Ok(value)
}

/// What there is; the first column is what `--device` takes.
fn names(cpu: &Cpu, gpus: &[Shown]) -> Table {
    let mut table = ui::table(&["device", "name", "API", "type", "driver", "memory"]);
    let memory = cpu.memory.map_or_else(|| "unknown".into(), |memory| format!("{} free", ui::bytes(memory)));
    table.add_row([&cpu.name, &cpu.description, "", "CPU", "", &memory]);
    for Shown { gpu, .. } in gpus {
        table.add_row([&gpu.index.to_string(), &gpu.name, gpu.backend, gpu.kind, &gpu.driver, &memory_of(gpu)]);
    }
    table
}

fn memory_of(gpu: &Description) -> String {
    match gpu.memory {
        None => "unknown".to_owned(),
        Some(DeviceMemory { total, free: None, .. }) => ui::bytes(total),
        Some(DeviceMemory { total, free: Some(free), .. }) => {
            format!("{} free of {}", ui::bytes(free), ui::bytes(total))
        }
    }
}

/// What kernels use on each GPU: decided from its features and limits when it is opened.
fn decisions(gpus: &[Shown]) -> Table {
    let mut header = vec!["used on".to_owned()];
    header.extend(gpus.iter().map(|shown| shown.gpu.index.to_string()));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = ui::table(&header);
    let mut row = |name: &str, value: &dyn Fn(&Description) -> String| {
        table.add_row(std::iter::once(name.to_owned()).chain(gpus.iter().map(|shown| value(&shown.gpu))));
    };
    row("f16 in shaders", &|gpu| yes(gpu.capabilities.f16));
    row("subgroups", &|gpu| subgroups(&gpu.capabilities));
    row("cooperative matrices", &|gpu| matrices(&gpu.capabilities));
    row("dot4I8Packed", &|gpu| dot4_path(gpu.backend).into());
    row("timestamps", &|gpu| timestamps(gpu.capabilities.timestamps).into());
    row("params", &|gpu| params(&gpu.capabilities).into());
    row("largest buffer", &|gpu| ui::bytes(gpu.capabilities.max_buffer_bytes));
    row("largest binding", &|gpu| ui::bytes(gpu.capabilities.max_binding_bytes));
    row("workgroup memory", &|gpu| ui::bytes(gpu.capabilities.workgroup_bytes.into()));
    row("workgroup size", &|gpu| gpu.capabilities.invocations.to_string());
    row("storage buffers", &|gpu| gpu.capabilities.max_storage_buffers.to_string());
    let mut row = |name: &str, value: &dyn Fn(&Kernels) -> String| {
        let value = |shown: &Shown| shown.kernels.as_ref().map_or_else(|_| "none".to_owned(), value);
        table.add_row(std::iter::once(name.to_owned()).chain(gpus.iter().map(value)));
    };
    row("products row by row", &|kernels| {
        format!("to {} tokens, of floats to {}", kernels.matvec_tokens, kernels.float_matvec_tokens)
    });
    row("products of more tokens", &|kernels| kernels.tiles.to_owned());
    row("of floats", &|kernels| kernels.float_tiles.to_owned());
    row("attention, f16", &|kernels| attention(kernels.attention_f16));
    row("attention, turbo4", &|kernels| attention(kernels.attention_turbo4));
    table
}

/// How attention of one token and of many is done.
fn attention([one, many]: [&str; 2]) -> String {
    format!("{one}; prompts {many}")
}

/// What the tables do not say: devices that are refused or shown twice, and who uses which.
fn notes(all: &[Shown], automatic: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for Shown { gpu, kernels } in all {
        match (&gpu.refused, kernels) {
            (Some(reason), _) => lines.push(format!("{} is refused: {reason}", gpu.index)),
            (None, Err(reason)) => lines.push(format!("{} cannot be used: {reason}", gpu.index)),
            (None, Ok(_)) => {}
        }
        if let Some(same) = gpu.same_as {
            lines.push(format!("{} is {same} again, through {}", gpu.index, gpu.backend));
        }
    }
    let usable: Vec<&Description> = all.iter().filter(|shown| shown.kernels.is_ok()).map(|shown| &shown.gpu).collect();
    let best = usable.iter().find(|gpu| !gpu.is_software()).or(usable.first());
    lines.push(format!("models run on {automatic} unless --device names another"));
    lines.push(best.map_or_else(
        || "no GPU can be used: parity and bench-kernels need one".into(),
        |gpu| format!("parity and bench-kernels run on {} unless --device names another", gpu.index),
    ));
    lines
}

/// What models run on where no device is named, and why.
fn automatic(found: Result<Automatic, GpuError>) -> String {
    match found {
        Ok(Automatic::Gpu { adapter, reason }) => format!("{} ({reason})", adapter.description.index),
        Ok(Automatic::Cpu { reason }) => format!("cpu ({reason})"),
        Err(error) => format!("nothing ({error})"),
    }
}

fn yes(found: bool) -> String {
    if found { "yes" } else { "no" }.to_owned()
}

fn subgroups(capabilities: &Capabilities) -> String {
    match capabilities.subgroup {
        None => "no".to_owned(),
        Some(sizes) if sizes.min == sizes.max => sizes.min.to_string(),
        Some(sizes) => format!("{} to {}", sizes.min, sizes.max),
    }
}

fn matrices(capabilities: &Capabilities) -> String {
    let mut all: Vec<String> =
        capabilities.coop_matrix.iter().map(|c| format!("{}x{}x{} {} to {}", c.m, c.n, c.k, c.ab, c.c)).collect();
    all.dedup();
    if all.is_empty() { "no".to_owned() } else { all.join("\n") }
}

const fn timestamps(timestamps: Timestamps) -> &'static str {
    match timestamps {
        Timestamps::None => "no",
        Timestamps::Passes => "of passes",
        Timestamps::Dispatches => "of dispatches",
    }
}

const fn params(capabilities: &Capabilities) -> &'static str {
    if capabilities.immediate_bytes >= 128 { "immediates" } else { "uniforms" }
}

/// What naga 30 makes of `dot4I8Packed` for an API.
fn dot4_path(backend: &str) -> &'static str {
    match backend {
        "vulkan" => "instruction if the driver has it",
        "dx12" => "instruction from shader model 6.4",
        "metal" => "4 products",
        _ => "bit operations",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fake;
    use turbo_gpu::CoopMatrix;

    fn shown(gpu: Description) -> Shown {
        let kernels = match &gpu.refused {
            Some(reason) => Err(reason.clone()),
            None => Ok(Kernels {
                matvec_tokens: 24,
                float_matvec_tokens: 8,
                tiles: "cooperative matrices 16x16",
                float_tiles: "f32",
                attention_f16: ["workgroups", "none"],
                attention_turbo4: ["subgroups", "workgroups"],
            }),
        };
        Shown { gpu, kernels }
    }

    #[test]
    fn notes_name_refused_and_doubled_devices_and_the_chosen_one() {
        let mut gpus = [
            fake::gpu(0, "Old Card", "vulkan", "discrete GPU"),
            fake::gpu(1, "llvmpipe", "vulkan", "software"),
            fake::gpu(2, "Good Card", "vulkan", "integrated GPU"),
            fake::gpu(3, "Good Card/SSE2", "gl", "integrated GPU"),
            fake::gpu(4, "Lost Card", "vulkan", "discrete GPU"),
        ];
        gpus[0].refused = Some("max_buffer_size is 1024, needed is 134217728".into());
        gpus[3].same_as = Some(2);
        let mut gpus = gpus.map(shown);
        gpus[4].kernels = Err("Lost Card could not be opened: no reason".into());
        assert_eq!(
            notes(&gpus, "2 (the only GPU)"),
            [
                "0 is refused: max_buffer_size is 1024, needed is 134217728",
                "3 is 2 again, through gl",
                "4 cannot be used: Lost Card could not be opened: no reason",
                "models run on 2 (the only GPU) unless --device names another",
                "parity and bench-kernels run on 2 unless --device names another",
            ]
        );
        assert!(notes(&gpus[..2], "cpu")[2].contains("run on 1 unless"), "a software one where there is nothing else");
        assert_eq!(notes(&gpus[..1], "cpu")[2], "no GPU can be used: parity and bench-kernels need one");
        assert_eq!(automatic(Ok(Automatic::Cpu { reason: "no GPU was found".into() })), "cpu (no GPU was found)");
    }

    #[test]
    fn every_decision_is_shown() {
        let mut gpu = fake::gpu(0, "Card", "metal", "integrated GPU");
        let matrix = CoopMatrix { m: 8, n: 8, k: 8, ab: "f16", c: "f32" };
        gpu.capabilities.coop_matrix = vec![matrix, matrix];
        gpu.memory = Some(DeviceMemory { total: 8 << 30, free: Some(6 << 30), used: Some(0) });
        let gpu = shown(gpu);
        let text = decisions(std::slice::from_ref(&gpu)).to_string();
        for part in [
            "8 to 32",
            "8x8x8 f16 to f32",
            "4 products",
            "uniforms",
            "1.0 GiB",
            "32.0 KiB",
            "1024",
            "yes",
            "no",
            "to 24 tokens, of floats to 8",
            "cooperative matrices 16x16",
            "subgroups; prompts workgroups",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = json(&gpu).unwrap();
        let fields = (&json["dot4i8"], &json["params"], &json["capabilities"]["subgroup"]["max"], &json["models"]);
        assert_eq!(fields, (&"4 products".into(), &"uniforms".into(), &32.into(), &true.into()));
        assert_eq!((&json["kernels"]["matvec_tokens"], &json["memory"]["free"]), (&24.into(), &(6_u64 << 30).into()));
        assert_eq!(memory_of(&gpu.gpu), "6.0 GiB free of 8.0 GiB");
    }
}
