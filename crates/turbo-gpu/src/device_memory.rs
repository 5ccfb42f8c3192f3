//! What a driver says about the memory of its device.

use serde::Serialize;

/// Memory of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceMemory {
    /// Bytes that there are.
    pub total: u64,
    /// Bytes that this process may still take, if the driver says so.
    pub free: Option<u64>,
    /// Bytes that this process has taken, if the driver says so.
    pub used: Option<u64>,
}

impl DeviceMemory {
    /// Asks the driver of `adapter`; nothing is known of GL.
    pub(crate) fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        match adapter.get_info().backend {
            #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", windows))]
            wgpu::Backend::Vulkan => vulkan::memory(adapter),
            #[cfg(target_vendor = "apple")]
            wgpu::Backend::Metal => metal::memory(adapter),
            #[cfg(windows)]
            wgpu::Backend::Dx12 => dx12::memory(adapter),
            _ => None,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", windows))]
mod vulkan {
    use ash::{ext, vk};
    use wgpu::hal::api::Vulkan;

    use super::DeviceMemory;

    /// The largest heap on the device, and the budget by VK_EXT_memory_budget.
    pub(super) fn memory(adapter: &wgpu::Adapter) -> Option<DeviceMemory> {
        // SAFETY: the handles are used for a query while the guard keeps them alive, nothing else.
        let adapter = unsafe { adapter.as_hal::<Vulkan>() }?;
        let instance = adapter.shared_instance();
        if instance.instance_api_version() < vk::API_VERSION_1_1 {
            return None;
        }
        let has_budget = adapter.physical_device_capabilities().supports_extension(ext::memory_budget::NAME);
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut properties = vk::PhysicalDeviceMemoryProperties2::default();
        if has_budget {
            properties = properties.push_next(&mut budget);
        }
        let (raw, device) = (instance.raw_instance(), adapter.raw_physical_device());
        // SAFETY: the device belongs to the instance, which is of version 1.1 at least; the chain holds one structure of
        // an extension that the device has.
        unsafe { raw.get_physical_device_memory_properties2(device, &mut properties) };
        let heaps = properties.memory_properties;
        let local = |i: &usize| heaps.memory_heaps[*i].flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
        let heap = |i: usize| heaps.memory_heaps[i].size;
        let largest = (0..heaps.memory_heap_count as usize).filter(local).max_by_key(|&i| heap(i))?;
        let used = budget.heap_usage[largest];
        let free = budget.heap_budget[largest].saturating_sub(used);
        Some(DeviceMemory { total: heap(largest), free: has_budget.then_some(free), used: has_budget.then_some(used) })
    }
}

#[cfg(target_vendor = "apple")]
mod metal {
    use objc2_metal::MTLDevice;
    use wgpu::hal::api::Metal;

    use super::DeviceMemory;

    /// What the system recommends as the most that is in use at a time.
    pub(super) fn memory(adapter: &wgpu::Adapter) -> Option<DeviceMemory> {
        // SAFETY: the handle is used for a query while the guard keeps it alive, nothing else.
        let adapter = unsafe { adapter.as_hal::<Metal>() }?;
        let device = adapter.raw_device();
        let (total, used) = (device.recommendedMaxWorkingSetSize(), device.currentAllocatedSize() as u64);
        Some(DeviceMemory { total, free: Some(total.saturating_sub(used)), used: Some(used) })
    }
}

#[cfg(windows)]
mod dx12 {
    use wgpu::hal::api::Dx12;
    use windows::Win32::Graphics::Dxgi::DXGI_MEMORY_SEGMENT_GROUP_LOCAL;

    use super::DeviceMemory;

    /// The budget that DXGI gives this process.
    pub(super) fn memory(adapter: &wgpu::Adapter) -> Option<DeviceMemory> {
        // SAFETY: the handle is used for a query while the guard keeps it alive, nothing else.
        let adapter = unsafe { adapter.as_hal::<Dx12>() }?;
        let info = adapter.raw_adapter().query_video_memory_info(DXGI_MEMORY_SEGMENT_GROUP_LOCAL).ok()?;
        let (total, used) = (info.Budget, info.CurrentUsage);
        Some(DeviceMemory { total, free: Some(total.saturating_sub(used)), used: Some(used) })
    }
}
