use super::*;
use crate::capabilities::Timestamps;

fn description(index: usize, name: &str, backend: &'static str, kind: &'static str) -> Description {
    let capabilities = Capabilities {
        f16: false,
        subgroup: None,
        coop_matrix: Vec::new(),
        immediate_bytes: 128,
        timestamps: Timestamps::None,
        pipeline_cache: false,
        max_buffer_bytes: 1 << 30,
        max_binding_bytes: 1 << 30,
        max_storage_buffers: 8,
        workgroup_bytes: 16384,
        invocations: 256,
        storage_alignment: 32,
        uniform_alignment: 32,
    };
    Description {
        index,
        name: name.to_owned(),
        backend,
        kind,
        driver: String::new(),
        refused: None,
        same_as: None,
        memory: None,
        capabilities,
    }
}

fn machine() -> Vec<Description> {
    let mut all = vec![
        description(0, "NVIDIA H200", "vulkan", "discrete GPU"),
        description(1, "NVIDIA H200/PCIe/SSE2", "gl", "discrete GPU"),
        description(2, "Intel UHD", "vulkan", "integrated GPU"),
        description(3, "Old Card", "gl", "integrated GPU"),
        description(4, "llvmpipe (LLVM 15)", "vulkan", "software"),
    ];
    all[1].same_as = Some(0);
    all[3].refused = Some("max_buffer_size is 1024, needed is 134217728".to_owned());
    all
}

fn picked(wanted: Option<&str>) -> Result<usize, String> {
    let all = machine();
    let all: Vec<&Description> = all.iter().collect();
    pick(&all, wanted.unwrap_or("auto"), wanted).map_err(|e| e.to_string())
}

#[test]
fn the_best_hardware_is_chosen_unless_something_is_named() {
    assert_eq!(picked(None), Ok(0));
    assert_eq!(picked(Some("2")), Ok(2));
    assert_eq!(picked(Some("uhd")), Ok(2));
    assert_eq!(picked(Some("llvmpipe")), Ok(4));
    assert_eq!(picked(Some("nvidia")), Ok(0), "the entry of GL is the same device");
    assert_eq!(picked(Some("gl:nvidia")), Ok(1));
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let list = "available are 0: NVIDIA H200 (vulkan, discrete GPU); 1: NVIDIA H200/PCIe/SSE2 (gl, discrete GPU): the \
                same as 0; 2: Intel UHD (vulkan, integrated GPU); 3: Old Card (gl, integrated GPU): refused, \
                max_buffer_size is 1024, needed is 134217728; 4: llvmpipe (LLVM 15) (vulkan, software): only used \
                when named";
    assert_eq!(picked(Some("radeon")).unwrap_err(), format!("no GPU matches \"radeon\": {list}"));
    assert_eq!(picked(Some("9")).unwrap_err(), format!("no GPU matches \"9\": {list}"));
    assert_eq!(
        picked(Some("old")).unwrap_err(),
        "no GPU matches \"old\": 3: Old Card (gl, integrated GPU) is refused: max_buffer_size is 1024, needed is 134217728"
    );
    assert_eq!(
        pick(&[], "auto", None).unwrap_err().to_string(),
        "no GPU can be used: no Vulkan, Metal, DX12 or GL driver was found on this machine; --device cpu needs none"
    );
}

#[test]
fn software_is_never_chosen_unnamed() {
    let software = description(0, "llvmpipe", "vulkan", "software");
    let message = pick(&[&software], "gpu", None).unwrap_err().to_string();
    assert_eq!(message, "no GPU can be used: 0: llvmpipe (vulkan, software): only used when named");
    let mut old = description(1, "Old Card", "vulkan", "discrete GPU");
    old.refused = Some("it has no compute shaders".to_owned());
    let message = pick(&[&software, &old], "gpu", None).unwrap_err().to_string();
    assert_eq!(
        message,
        "no GPU can be used: 0: llvmpipe (vulkan, software): only used when named; 1: Old Card (vulkan, discrete GPU): \
         refused, it has no compute shaders"
    );
}

#[test]
fn the_best_is_discrete_then_not_gl_then_has_most_memory() {
    let with = |index, backend, kind, gib: u64, free: Option<u64>| {
        let memory = Some(DeviceMemory { total: gib << 30, free: free.map(|gib| gib << 30), used: None });
        Description { memory, ..description(index, "Card", backend, kind) }
    };
    let best_of = |all: &[Description]| best(&all.iter().collect::<Vec<_>>());
    let (integrated, discrete) = ("integrated GPU", "discrete GPU");
    assert_eq!(best_of(&[with(0, "vulkan", integrated, 96, None), with(1, "vulkan", discrete, 8, None)]), Some(1));
    assert_eq!(best_of(&[with(0, "vulkan", discrete, 8, None), with(1, "vulkan", discrete, 24, None)]), Some(1));
    assert_eq!(best_of(&[with(0, "vulkan", discrete, 24, Some(2)), with(1, "vulkan", discrete, 8, None)]), Some(1));
    assert_eq!(best_of(&[with(0, "vulkan", discrete, 8, None), with(1, "vulkan", discrete, 8, None)]), Some(0));
    assert_eq!(best_of(&[with(0, "gl", discrete, 24, None), with(1, "vulkan", integrated, 8, None)]), Some(1));
    let software = with(0, "vulkan", SOFTWARE, 96, None);
    assert_eq!(best_of(&[software.clone(), with(1, "vulkan", discrete, 8, None)]), Some(1));
    assert_eq!(best_of(std::slice::from_ref(&software)), None);
    assert_eq!(why_cpu(&[&software]), "the only GPUs here are software");
    assert_eq!(why_cpu(&[]), "no GPU was found");
    let mut old = with(1, "vulkan", discrete, 8, None);
    assert_eq!(why_gpu(&[&software, &old]), "the only GPU");
    assert_eq!(why_gpu(&[&with(0, "vulkan", discrete, 8, None), &old]), "the best of 2 GPUs");
    old.refused = Some("it has no compute shaders".to_owned());
    assert_eq!(
        why_cpu(&[&software, &old]),
        "no GPU can be used, 1: Card (vulkan, discrete GPU) is refused: it has no compute shaders"
    );
}

#[test]
fn a_name_that_fits_two_devices_is_ambiguous() {
    let all = [description(0, "AMD A", "vulkan", "discrete GPU"), description(1, "AMD B", "vulkan", "integrated GPU")];
    let all: Vec<&Description> = all.iter().collect();
    let message = pick(&all, "amd", Some("amd")).unwrap_err().to_string();
    assert_eq!(
        message,
        "\"amd\" matches several GPUs: 0: AMD A (vulkan, discrete GPU); 1: AMD B (vulkan, integrated GPU); name one of \
         them in full or by its index"
    );
    assert_eq!(pick(&all, "amd b", Some("amd b")).unwrap(), 1);
}
