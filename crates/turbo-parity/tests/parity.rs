//! Every kernel on every adapter of this machine, software ones included: the device must be named to be left out.

use turbo_gpu::{Gpu, GpuOptions, usable_adapters};
use turbo_parity::{ALL, Effort, Verdict, run};
use turbo_testkit::gpus_found;

fn all_kernels(options: &GpuOptions) {
    for adapter in gpus_found(usable_adapters()) {
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
