//! Opened devices: memory, recording, errors. On every adapter of this machine, software ones included.

use turbo_gpu::{Bind, Buffer, Gpu, GpuError, GpuOptions, Grid, Recorder, adapters, find, kv, usable_adapters};
use turbo_quant::turbo::rotate::{Direction, rotate_head};
use turbo_testkit::gpus_found;
use turbo_wgsl::kv::rotate::{Bindings, KERNEL, N16, N128};
use turbo_wgsl::params::RotateParams;

fn on_every_gpu(options: &GpuOptions, test: impl Fn(&Gpu)) {
    for adapter in gpus_found(usable_adapters()) {
        test(&Gpu::open(&adapter, options).expect("the adapter opens"));
    }
}

/// One head of 128 values, rotated by the kernel.
fn rotate_one(gpu: &Gpu, x: Bind<'_>, y: Bind<'_>) -> Result<(), GpuError> {
    let mut recorder = gpu.recorder("one");
    kv::rotate::Rotate { heads: 1, head_dim: 128, inverse: false }.record(&mut recorder, x, y)?;
    recorder.submit().map(drop)
}

#[test]
fn what_is_written_is_read() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        let data: Vec<u16> = (0..1001).collect();
        let buffer = gpu.upload("data", &data).unwrap();
        assert_eq!(gpu.download(&buffer, 0..1001).unwrap(), data);
        assert_eq!(gpu.download(&buffer, 10..13).unwrap(), [10, 11, 12]);
        gpu.write(&buffer, 2, &[7, 8, 9, 10]).unwrap();
        assert_eq!(gpu.download(&buffer, 0..7).unwrap(), [0, 1, 7, 8, 9, 10, 6]);

        let zeros = gpu.buffer::<u32>("zeros", 5).unwrap();
        assert_eq!(gpu.download(&zeros, 0..5).unwrap(), [0; 5]);
        let mut recorder = gpu.recorder("copy");
        let source = gpu.upload("source", &[1_u32, 2, 3]).unwrap();
        recorder.copy(&source, 1..3, &zeros, 2).unwrap();
        recorder.submit().unwrap();
        assert_eq!(gpu.download(&zeros, 0..5).unwrap(), [0, 0, 2, 3, 0]);
        assert!(gpu.download(&gpu.buffer::<u32>("empty", 0).unwrap(), 0..0).unwrap().is_empty());
    });
}

#[test]
fn split_buffers_hold_whole_units() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        // Units so large that two do not fit one binding of lavapipe or GL.
        let unit_bytes = 65 << 20;
        let split = gpu.split_buffer("weights", "row", 3, unit_bytes).unwrap();
        let whole = usize::try_from(gpu.capabilities().max_binding_bytes).unwrap() / unit_bytes;
        assert_eq!(split.parts().len(), 3_usize.div_ceil(whole.min(3)));
        let units: Vec<u8> = (0..2 * unit_bytes).map(|i| (i / unit_bytes) as u8 + 1).collect();
        gpu.write_units(&split, 1, &units).unwrap();
        for unit in 0..3 {
            let (range, part) = split.parts().find(|(range, _)| range.contains(&unit)).unwrap();
            let first = (unit - range.start) * unit_bytes / 4;
            for at in [first, first + unit_bytes / 4 - 1] {
                assert_eq!(gpu.download(part, at..at + 1).unwrap(), [unit as u32 * 0x0101_0101], "unit {unit}");
            }
        }
        let message = gpu.write_units(&split, 2, &units).unwrap_err().to_string();
        assert!(message.contains("beyond the last of 3"), "{message}");
        let limit = gpu.capabilities().max_binding_bytes;
        let message = gpu.split_buffer("weights", "row", 1, limit as usize + 16).unwrap_err().to_string();
        let name = gpu.name();
        assert_eq!(
            message,
            format!("weights: one row takes {} bytes, {name} binds at most {limit} at once", limit + 16)
        );
    });
}

#[test]
fn mistakes_are_errors_that_name_the_kernel() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        let (x, y) = (gpu.buffer::<f32>("x", 128).unwrap(), gpu.buffer::<f32>("y", 128).unwrap());
        let call = |variant, x: Bind<'_>, grid| {
            let mut recorder = gpu.recorder("mistake");
            let result = recorder.dispatch(variant, Bindings { x, y: y.bind() }, &RotateParams::default(), grid);
            result.unwrap_err().to_string()
        };
        let message = call(N128, x.bind(), Grid { x: 0, y: 1, z: 1 });
        assert_eq!(message, "kernel rotate[n128]: a grid of 0 x 1 x 1 workgroups is empty or too large");
        let message = call(N128, x.bind_range(0..2), Grid::linear(1));
        assert_eq!(message, "kernel rotate[n128]: x: 8 bytes from 0 of a buffer of 512 cannot be bound");
        let message = call(N128, x.bind_range(1..128), Grid::linear(1));
        assert!(message.contains("x: 508 bytes from 4 where at most"), "{message}");
        let message = gpu.pick(&KERNEL, &["n12"]).unwrap_err().to_string();
        assert_eq!(message, format!("{} cannot run kv/rotate: there is no rotate[n12]", gpu.name()));

        // Read and written at once: wgpu refuses, and later work is not harmed.
        let message = rotate_one(gpu, x.bind(), x.bind()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{} failed: ", gpu.name())), "{message}");
        rotate_one(gpu, x.bind(), y.bind()).unwrap();
        gpu.wait().unwrap();

        let too_much = gpu.capabilities().max_buffer_bytes as usize / 4 + 4;
        let message = gpu.buffer::<u32>("cache", too_much).unwrap_err().to_string();
        assert!(message.contains(&format!("cache of {} bytes could not be allocated", too_much * 4)), "{message}");
    });
}

#[test]
fn many_dispatches_share_a_recorder() {
    let uniform = GpuOptions { uniform_params: true, ..GpuOptions::default() };
    for options in [GpuOptions::default(), uniform] {
        on_every_gpu(&options, |gpu| {
            let x: Vec<f32> = (0..128).map(|i| (i as f32 * 0.7).sin()).collect();
            let buffers = [gpu.upload("a", &x).unwrap(), gpu.buffer("b", 128).unwrap()];
            let mut recorder = gpu.recorder("many");
            // More params than one page of the uniform ring holds, each dispatch needing the one before.
            for i in 0..1000 {
                let rotate = kv::rotate::Rotate { heads: 1, head_dim: 128, inverse: i % 2 == 1 };
                rotate.record(&mut recorder, buffers[i % 2].bind(), buffers[(i + 1) % 2].bind()).unwrap();
            }
            recorder.submit().unwrap();
            let mut want = x.clone();
            for i in 0..1000 {
                rotate_head(&mut want, if i % 2 == 1 { Direction::Inverse } else { Direction::Forward });
            }
            let got = gpu.download(&buffers[0], 0..128).unwrap();
            assert!(got.iter().zip(&want).all(|(g, w)| g.to_bits() == w.to_bits()));
        });
    }
}

#[test]
fn a_grid_beyond_65535_workgroups_covers_everything() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        let Ok(variant) = gpu.pick(&KERNEL, &["n16,subgroup"]) else {
            eprintln!("NOT RUN on {}: without subgroups the data would not fit one binding", gpu.name());
            return;
        };
        let heads = 65535 * 16 + 5;
        let x: Vec<f32> = (0..heads * 16).map(|i| (i % 1013) as f32 - 500.0).collect();
        let (from, to) = (gpu.upload("x", &x).unwrap(), gpu.buffer::<f32>("y", x.len()).unwrap());
        let mut recorder = gpu.recorder("large");
        let rotate = kv::rotate::Rotate { heads: heads as u32, head_dim: 16, inverse: false };
        rotate.record_with(&mut recorder, from.bind(), to.bind(), |_, _| Ok(variant)).unwrap();
        recorder.submit().unwrap();
        let got = gpu.download(&to, 0..x.len()).unwrap();
        for head in [0, 65535 * 16 - 1, 65535 * 16, heads - 1] {
            let mut want = x[head * 16..][..16].to_vec();
            rotate_head(&mut want, Direction::Forward);
            assert_eq!(&got[head * 16..][..16], &want, "head {head}");
        }
    });
}

#[test]
fn dispatches_are_timed_one_by_one() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        let (x, y) = (gpu.buffer::<f32>("x", 4096).unwrap(), gpu.buffer::<f32>("y", 4096).unwrap());
        let mut recorder = match gpu.recorder("timed").with_timing() {
            Ok(recorder) => recorder,
            Err(error) => {
                assert_eq!(error.to_string(), format!("{} cannot run timing: it has no timestamps", gpu.name()));
                return;
            }
        };
        for _ in 0..3 {
            let params = RotateParams { groups: 256, groups_per_head: 1, head_stride: 4, ..RotateParams::default() };
            recorder.dispatch(N16, Bindings { x: x.bind(), y: y.bind() }, &params, Grid::items(256, 64)).unwrap();
        }
        let times = recorder.submit_timed().unwrap();
        assert_eq!(times.len(), 3);
        assert!(times.iter().all(|(label, ns)| *label == "rotate[n16]" && *ns < 1e9), "{times:?}");
    });
}

/// Rotates 256 groups of 16 values of `x` to `y`.
fn rotate(recorder: &mut Recorder<'_>, x: &Buffer<f32>, y: &Buffer<f32>) -> Result<(), GpuError> {
    let params = RotateParams { groups: 256, groups_per_head: 1, head_stride: 4, ..RotateParams::default() };
    recorder.dispatch(N16, Bindings { x: x.bind(), y: y.bind() }, &params, Grid::items(256, 64))
}

#[test]
fn a_span_is_timed_as_one() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        let (x, y) = (gpu.buffer::<f32>("x", 4096).unwrap(), gpu.buffer::<f32>("y", 4096).unwrap());
        let Ok(mut recorder) = gpu.recorder("spans").with_timing() else { return };
        recorder.span("three", |r| (0..3).try_for_each(|_| rotate(r, &x, &y))).unwrap();
        rotate(&mut recorder, &x, &y).unwrap();
        recorder.span("none", |_| Ok(())).unwrap();
        recorder.span("one", |r| rotate(r, &x, &y)).unwrap();
        let times = recorder.submit_timed().unwrap();
        let labels: Vec<&str> = times.iter().map(|(label, _)| *label).collect();
        assert_eq!(labels, ["three", "rotate[n16]", "one"]);
        assert!(times.iter().all(|(_, ns)| *ns < 1e9), "{times:?}");
    });
}

#[test]
fn other_kernels_can_be_left_out() {
    on_every_gpu(&GpuOptions::default(), |gpu| {
        let x = gpu.upload("x", &[1.0_f32; 4096]).unwrap();
        for (only, written) in [(&KERNEL, true), (&turbo_wgsl::bench::stream::KERNEL, false)] {
            let y = gpu.buffer::<f32>("y", 4096).unwrap();
            let mut recorder = gpu.recorder("only").only(only);
            rotate(&mut recorder, &x, &y).unwrap();
            recorder.submit().unwrap();
            let got = gpu.download(&y, 0..4096).unwrap();
            assert_eq!(got.iter().any(|y| *y != 0.0), written);
        }
    });
}

#[test]
fn compiled_pipelines_are_kept_on_disk() {
    let dir = std::env::temp_dir().join(format!("turbo-gpu-pipelines-{}", std::process::id()));
    let options = GpuOptions { cache_dir: Some(dir.clone()), ..GpuOptions::default() };
    for _ in 0..2 {
        on_every_gpu(&options, |gpu| {
            gpu.pipeline(&KERNEL, N128).unwrap();
            gpu.save_pipelines();
            let kept = std::fs::read_dir(&dir).is_ok_and(|files| files.count() > 0);
            assert!(kept || !gpu.capabilities().pipeline_cache);
        });
    }
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn devices_that_are_not_there_are_answered_with_those_that_are() {
    let message = find("voodoo 2").unwrap_err().to_string();
    assert!(message.starts_with("no GPU matches \"voodoo 2\": "), "{message}");
    for adapter in adapters() {
        assert!(message.contains(&adapter.description.to_string()), "{message}");
    }
}
