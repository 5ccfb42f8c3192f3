//! `turbo-wgpu devices`

use std::io::Write;

use anyhow::Result;
use turbo_cpu::CpuBackend;
use turbo_runtime::{Backend, available_bytes};

use crate::cli::DevicesArgs;
use crate::ui;

/// Prints the devices that a model can run on.
pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    let cpu = CpuBackend::new(None);
    let info = cpu.info();
    let memory = info.memory_bytes.or_else(available_bytes);
    let mut out = std::io::stdout().lock();
    if args.json {
        let device = serde_json::json!({
            "name": info.name,
            "kind": "cpu",
            "description": info.description,
            "threads": cpu.threads(),
            "memory_bytes": memory,
            "auto": true,
        });
        writeln!(out, "{}", serde_json::json!({ "devices": [device] }))?;
        return Ok(());
    }
    let mut table = ui::table(&["device", "description", "free memory", ""]);
    let memory = memory.map_or_else(|| "unknown".into(), ui::bytes);
    table.add_row([info.name, info.description, memory, "used by --device auto".into()]);
    writeln!(out, "{table}")?;
    Ok(())
}
