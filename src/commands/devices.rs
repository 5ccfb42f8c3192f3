//! `turbo-wgpu devices`

use std::io::Write;

use anyhow::Result;
use comfy_table::Table;
use turbo_cpu::CpuBackend;
use turbo_gpu::{Capabilities, Description, Timestamps};
use turbo_runtime::{Backend, available_bytes};

use crate::cli::DevicesArgs;
use crate::ui;

/// Prints the CPU and every GPU with what was found out about them.
pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    let cpu = Cpu::of_this_machine();
    let gpus: Vec<Description> = turbo_gpu::adapters().into_iter().map(|adapter| adapter.description).collect();
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
    for line in notes(&gpus) {
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

fn json(gpu: &Description) -> Result<serde_json::Value> {
    let mut value = serde_json::to_value(gpu)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("dot4i8".into(), dot4_path(gpu.backend).into());
        fields.insert("params".into(), params(&gpu.capabilities).into());
        fields.insert("models".into(), gpu.refused.is_none().into());
    }
    Ok(value)
}

/// What there is; the first column is what `--device` takes.
fn names(cpu: &Cpu, gpus: &[Description]) -> Table {
    let mut table = ui::table(&["device", "name", "API", "type", "driver", "memory"]);
    let memory = cpu.memory.map_or_else(|| "unknown".into(), |memory| format!("{} free", ui::bytes(memory)));
    table.add_row([&cpu.name, &cpu.description, "", "CPU", "", &memory]);
    for gpu in gpus {
        let largest = format!("buffers to {}", ui::bytes(gpu.capabilities.max_buffer_bytes));
        table.add_row([&gpu.index.to_string(), &gpu.name, gpu.backend, gpu.kind, &gpu.driver, &largest]);
    }
    table
}

/// What kernels use on each GPU: decided from its features and limits when it is opened.
fn decisions(gpus: &[Description]) -> Table {
    let mut header = vec!["used on".to_owned()];
    header.extend(gpus.iter().map(|gpu| gpu.index.to_string()));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = ui::table(&header);
    let mut row = |name: &str, value: &dyn Fn(&Description) -> String| {
        table.add_row(std::iter::once(name.to_owned()).chain(gpus.iter().map(value)));
    };
    row("f16 in shaders", &|gpu| yes(gpu.capabilities.f16));
    row("subgroups", &|gpu| subgroups(&gpu.capabilities));
    row("cooperative matrices", &|gpu| matrices(&gpu.capabilities));
    row("dot4I8Packed", &|gpu| dot4_path(gpu.backend).into());
    row("timestamps", &|gpu| timestamps(gpu.capabilities.timestamps).into());
    row("params", &|gpu| params(&gpu.capabilities).into());
    row("largest binding", &|gpu| ui::bytes(gpu.capabilities.max_binding_bytes));
    row("workgroup memory", &|gpu| ui::bytes(gpu.capabilities.workgroup_bytes.into()));
    row("workgroup size", &|gpu| gpu.capabilities.invocations.to_string());
    row("storage buffers", &|gpu| gpu.capabilities.max_storage_buffers.to_string());
    table
}

/// What the tables do not say: devices that are refused or shown twice, and who uses which.
fn notes(gpus: &[Description]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for gpu in gpus {
        if let Some(reason) = &gpu.refused {
            lines.push(format!("{} is refused: {reason}", gpu.index));
        }
        if let Some(same) = gpu.same_as {
            lines.push(format!("{} is {same} again, through {}", gpu.index, gpu.backend));
        }
    }
    let usable = |gpu: &&Description| gpu.refused.is_none();
    let best = gpus.iter().find(|gpu| usable(gpu) && gpu.kind != "software").or_else(|| gpus.iter().find(usable));
    lines.push("models run on cpu unless --device names another".into());
    lines.push(best.map_or_else(
        || "no GPU can be used: parity and bench-kernels need one".into(),
        |gpu| format!("parity and bench-kernels run on {} unless --device names another", gpu.index),
    ));
    lines
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

    #[test]
    fn notes_name_refused_and_doubled_devices_and_the_chosen_one() {
        let mut gpus = [
            fake::gpu(0, "Old Card", "vulkan", "discrete GPU"),
            fake::gpu(1, "llvmpipe", "vulkan", "software"),
            fake::gpu(2, "Good Card", "vulkan", "integrated GPU"),
            fake::gpu(3, "Good Card/SSE2", "gl", "integrated GPU"),
        ];
        gpus[0].refused = Some("max_buffer_size is 1024, needed is 134217728".into());
        gpus[3].same_as = Some(2);
        assert_eq!(
            notes(&gpus),
            [
                "0 is refused: max_buffer_size is 1024, needed is 134217728",
                "3 is 2 again, through gl",
                "models run on cpu unless --device names another",
                "parity and bench-kernels run on 2 unless --device names another",
            ]
        );
        assert!(notes(&gpus[..2])[2].contains("run on 1 unless"), "a software one where there is nothing else");
        assert_eq!(notes(&gpus[..1])[2], "no GPU can be used: parity and bench-kernels need one");
    }

    #[test]
    fn every_decision_is_shown() {
        let mut gpu = fake::gpu(0, "Card", "metal", "integrated GPU");
        let matrix = CoopMatrix { m: 8, n: 8, k: 8, ab: "f16", c: "f32" };
        gpu.capabilities.coop_matrix = vec![matrix, matrix];
        let text = decisions(std::slice::from_ref(&gpu)).to_string();
        for part in
            ["8 to 32", "8x8x8 f16 to f32", "4 products", "uniforms", "1.0 GiB", "32.0 KiB", "1024", "yes", "no"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = json(&gpu).unwrap();
        let fields = (&json["dot4i8"], &json["params"], &json["capabilities"]["subgroup"]["max"], &json["models"]);
        assert_eq!(fields, (&"4 products".into(), &"uniforms".into(), &32.into(), &true.into()));
    }
}
