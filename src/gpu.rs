//! Choosing GPUs for the commands that run GPU kernels.

use anyhow::{Result, bail};
use turbo_gpu::{Adapter, Description, Gpu, GpuOptions};

/// The variable by which wgpu programs are told their adapter.
const ADAPTER_VARIABLE: &str = "WGPU_ADAPTER_NAME";

/// The GPU that `asked` names: `auto` is the best one, a software adapter where there is nothing else; the rest is as
/// [`turbo_gpu::find`] reads it.
pub(crate) fn choose(asked: &str, command: &str) -> Result<Adapter> {
    refuse_cpu(asked, command)?;
    let error = match turbo_gpu::find(asked) {
        Ok(adapter) => return Ok(adapter),
        Err(error) => error,
    };
    let all = all(command)?;
    let named = std::env::var_os(ADAPTER_VARIABLE).is_some_and(|name| !name.is_empty());
    let usable = all.into_iter().find(|adapter| asked == "auto" && !named && adapter.description.refused.is_none());
    usable.ok_or_else(|| error.into())
}

/// Every GPU that is not refused, or the one that `asked` names.
pub(crate) fn choose_several(asked: &str, command: &str) -> Result<Vec<Adapter>> {
    if asked != "all" {
        return Ok(vec![choose(asked, command)?]);
    }
    let (usable, refused): (Vec<_>, Vec<_>) =
        all(command)?.into_iter().partition(|adapter| adapter.description.refused.is_none());
    for Description { index, name, refused, .. } in refused.iter().map(|adapter| &adapter.description) {
        eprintln!("skipped  {index}: {name}: {}", refused.as_deref().unwrap_or_default());
    }
    if usable.is_empty() {
        bail!("every GPU of this machine is refused: `turbo-wgpu devices` says why");
    }
    Ok(usable)
}

/// What there is, of which there must be some.
fn all(command: &str) -> Result<Vec<Adapter>> {
    let adapters = turbo_gpu::adapters();
    if adapters.is_empty() {
        bail!(
            "{command} needs a GPU, and no Vulkan, Metal, DX12 or GL driver was found on this machine: a software one \
             will do (on Debian the package mesa-vulkan-drivers)"
        );
    }
    Ok(adapters)
}

fn refuse_cpu(asked: &str, command: &str) -> Result<()> {
    if asked.eq_ignore_ascii_case("cpu") {
        bail!(
            "{command} runs GPU kernels, which --device cpu has none of: name a GPU that `turbo-wgpu devices` lists, or \
             leave --device out for the best one"
        );
    }
    Ok(())
}

/// Opens `adapter` and says on standard error which one it is.
pub(crate) fn open(adapter: &Adapter, asked: &str) -> Result<Gpu> {
    let device = &adapter.description;
    let gpu = Gpu::open(adapter, &GpuOptions::default())?;
    eprintln!("device   {device}, {}", if device.driver.is_empty() { "unknown driver" } else { &device.driver });
    if asked == "auto" && device.is_software() {
        eprintln!("         a CPU that plays a GPU: no other was found (`turbo-wgpu devices` lists all)");
    }
    Ok(gpu)
}

/// GPUs that no machine has.
#[cfg(test)]
pub(crate) mod fake {
    use turbo_gpu::{Capabilities, Description, SubgroupSizes, Timestamps};

    /// A usable GPU without immediates.
    pub(crate) fn gpu(index: usize, name: &str, backend: &'static str, kind: &'static str) -> Description {
        let capabilities = Capabilities {
            f16: true,
            subgroup: Some(SubgroupSizes { min: 8, max: 32 }),
            coop_matrix: Vec::new(),
            immediate_bytes: 0,
            timestamps: Timestamps::None,
            pipeline_cache: false,
            max_buffer_bytes: 1 << 30,
            max_binding_bytes: 1 << 30,
            max_storage_buffers: 8,
            workgroup_bytes: 32768,
            invocations: 1024,
            storage_alignment: 32,
            uniform_alignment: 32,
        };
        Description {
            index,
            name: name.to_owned(),
            backend,
            kind,
            driver: "Driver 7".to_owned(),
            refused: None,
            same_as: None,
            memory: None,
            capabilities,
        }
    }
}
