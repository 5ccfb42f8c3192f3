//! Every kernel on every adapter of this machine, software ones included: the device must be named to be left out.

use turbo_gpu::{Adapter, Gpu, GpuOptions, adapters};
use turbo_parity::{ALL, Effort, Verdict, run};

/// The adapters to test on; none only if TURBO_TEST_NO_GPU=1 says that there is no GPU.
fn tested() -> Vec<Adapter> {
    let found: Vec<Adapter> = adapters().into_iter().filter(|a| a.description.refused.is_none()).collect();
    if found.is_empty() {
        let excused = std::env::var_os("TURBO_TEST_NO_GPU").is_some_and(|v| v == "1");
        assert!(
            excused,
            "no GPU adapter was found: install a software one (Debian: mesa-vulkan-drivers and libegl1), or set \
             TURBO_TEST_NO_GPU=1 to go without"
        );
        eprintln!("NOT RUN: no GPU adapter was found, and TURBO_TEST_NO_GPU=1 is set");
    }
    found
}

fn all_kernels(options: &GpuOptions) {
    for adapter in tested() {
        let gpu = Gpu::open(&adapter, options).expect("the adapter opens");
        let device = &adapter.description;
        let rows = run(&gpu, Effort::Quick, None, |row| {
            let why = row.not_run.as_deref().unwrap_or_default();
            eprintln!(
                "{device}: {}[{}] {} vectors, {} mismatches, {:?}, {:.1} s {why}",
                row.kernel, row.variant, row.vectors, row.mismatches, row.verdict, row.seconds
            );
        })
        .expect("the device works");
        let failed: Vec<_> = rows.iter().filter(|r| r.verdict == Verdict::Fail).collect();
        assert!(failed.is_empty(), "{device}: {failed:#?}");
    }
}

#[test]
fn all_kernels_agree_with_their_twins() {
    all_kernels(&GpuOptions::default());
}

#[test]
fn params_in_uniform_buffers_change_nothing() {
    all_kernels(&GpuOptions { uniform_params: true, checked: true, ..GpuOptions::default() });
}

#[test]
fn every_kernel_has_its_cases() {
    let tested: Vec<&str> = ALL.iter().map(|p| p.kernel().name).collect();
    let all: Vec<&str> = turbo_wgsl::KERNELS.iter().map(|k| k.name).collect();
    assert_eq!(tested, all);
}
