//! The commands that run on GPUs, on whatever adapters this machine has.

use serde_json::Value;
use turbo_testkit::gpus_found;

use crate::program::{Run, command, finish, json, run};

/// One variant that compiles quickly everywhere.
const SMALL: &str = "kv/rotate[n16]";

/// The GPUs that `devices` lists and that are not refused; none only if TURBO_TEST_NO_GPU=1 says that there is none.
fn gpus() -> Vec<Value> {
    let report = json(&["devices", "--json"]);
    let devices = report["devices"].as_array().cloned().unwrap_or_default();
    gpus_found(devices.into_iter().filter(|d| d["kind"] != "cpu" && d["refused"].is_null()).collect())
}

fn name(gpu: &Value) -> &str {
    gpu["name"].as_str().expect("a name")
}

/// Runs the command where no API is to be had.
fn without_gpus(args: &[&str]) -> Run {
    let missing = if cfg!(target_os = "macos") { "dx12" } else { "metal" };
    finish(command(args).env("WGPU_BACKEND", missing))
}

/// The error of a run with status 1, in one line.
fn error(run: &Run) -> &str {
    assert_eq!(run.status, 1, "{} {}", run.out, run.err);
    // Before it may stand what libraries of the system print when GL is looked for.
    let line = run.err.lines().rfind(|line| line.starts_with("error: "));
    line.unwrap_or_else(|| panic!("no error: {}", run.err))
}

#[test]
fn devices_shows_what_was_decided_for_every_gpu() {
    let gpus = gpus();
    let table = run(&["devices"]).out;
    for row in ["models run on ", "products row by row", "products of more tokens", "attention, turbo4"] {
        assert!(table.contains(row), "{row}: {table}");
    }
    for gpu in &gpus {
        assert!(table.contains(name(gpu)), "{table}");
        for field in
            ["index", "backend", "kind", "driver", "memory", "capabilities", "kernels", "dot4i8", "params", "same_as"]
        {
            assert!(gpu.get(field).is_some(), "{field} of {gpu}");
        }
        for field in ["f16", "subgroup", "coop_matrix", "timestamps", "max_buffer_bytes", "max_binding_bytes"] {
            assert!(gpu["capabilities"].get(field).is_some(), "{field} of {gpu}");
        }
    }
    let without = without_gpus(&["devices"]).out;
    assert!(without.contains("no GPU can be used: parity and bench-kernels need one"), "{without}");
}

#[test]
fn a_device_that_is_not_there_is_answered_with_those_that_are() {
    let gpus = gpus();
    for args in [&["parity"][..], &["bench-kernels"], &["run", "-p", "x"], &["serve", "--port", "0"]] {
        let run = run(&[args, &["--device", "no such thing"]].concat());
        let error = error(&run);
        assert!(gpus.is_empty() || error.contains("no GPU matches \"no such thing\": available are 0: "), "{error}");
        assert!(gpus.iter().all(|gpu| error.contains(name(gpu))), "{error}");
    }
    let mut by_variable = command(&["parity", "--quick", "--only", SMALL]);
    let run = finish(by_variable.env("WGPU_ADAPTER_NAME", "no such thing"));
    let error = error(&run);
    assert!(gpus.is_empty() || error.contains("no GPU matches \"no such thing\": available are 0: "), "{error}");
}

#[test]
fn models_answer_on_gpus_as_on_the_cpu() {
    let args = ["run", "-p", "The capital of France is", "-n", "4", "--temp", "0"];
    let [cpu, turbo] = [&[][..], &["--ctk", "turbo4", "--ctv", "turbo4"]].map(|types| run(&[&args, types].concat()));
    assert_eq!((cpu.status, turbo.status), (0, 0), "{}{}", cpu.err, turbo.err);
    for gpu in gpus() {
        let index = gpu["index"].to_string();
        let device = [&args[..], &["--device", &index]].concat();
        let plain = run(&device);
        assert_eq!((plain.status, &plain.out), (0, &cpu.out), "{}", plain.err);
        assert!(plain.err.contains(name(&gpu)), "the device is named: {}", plain.err);
        let small = run(&[&device[..], &["--ctk", "turbo4", "--ctv", "turbo4"]].concat());
        assert_eq!((small.status, &small.out), (0, &turbo.out), "{}", small.err);
    }
}

#[test]
fn gpu_commands_say_what_they_need() {
    assert_eq!(
        error(&run(&["parity", "--device", "CPU"])),
        "error: parity runs GPU kernels, which --device cpu has none of: name a GPU that `turbo-wgpu devices` lists, or \
         leave --device out for the best one"
    );
    for command in ["parity", "bench-kernels"] {
        assert_eq!(
            error(&without_gpus(&[command])),
            format!(
                "error: {command} needs a GPU, and no Vulkan, Metal, DX12 or GL driver was found on this machine: a \
                 software one will do (on Debian the package mesa-vulkan-drivers)"
            )
        );
    }
    let only = run(&["parity", "--only", "rotato"]);
    let text = error(&only);
    assert!(text.starts_with("error: no variant contains \"rotato\": the kernels are "), "{text}");
    assert!(text.contains("kv/rotate"), "{text}");
}

#[test]
fn parity_prints_a_table_and_the_documented_json() {
    let gpus = gpus();
    let Some(first) = gpus.first() else { return };
    let index = first["index"].to_string();
    let args = ["parity", "--quick", "--only", SMALL, "--device", &index];
    let table = run(&args);
    assert_eq!(table.status, 0, "{}", table.err);
    assert!(table.out.contains("kv/rotate") && table.out.contains(", 0 mismatches in "), "{}", table.out);
    assert!(table.err.contains(name(first)), "the device is named: {}", table.err);
    let verbose = run(&[&args[..], &["-v"]].concat());
    assert!(verbose.out.contains("n16"), "{}", verbose.out);

    let report = json(&[&args[..], &["--json"]].concat());
    let keys = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(keys(&report), ["device", "kernels"]);
    let entry = &report["kernels"][0];
    assert_eq!(keys(entry), ["kernel", "variant", "class", "cases", "vectors", "mismatches", "nmse"]);
    assert_eq!((&entry["kernel"], &entry["variant"]), (&"kv/rotate".into(), &"n16".into()), "{report}");
    assert!(entry["vectors"].as_u64() > Some(0) && entry["mismatches"] == 0, "{report}");
    assert!(report["device"].as_str().is_some_and(|device| device.contains(name(first))), "{report}");
}

#[test]
fn parity_on_all_devices_gives_an_array() {
    let gpus = gpus();
    if gpus.is_empty() {
        return;
    }
    let report = json(&["parity", "--quick", "--only", SMALL, "--device", "all", "--json"]);
    let reports = report.as_array().expect("an array");
    assert_eq!(reports.len(), gpus.len(), "{report}");
    for (gpu, report) in gpus.iter().zip(reports) {
        assert!(report["device"].as_str().is_some_and(|device| device.contains(name(gpu))), "{report}");
    }
}

#[test]
fn bench_kernels_measures() {
    let gpus = gpus();
    let Some(first) = gpus.first() else { return };
    let index = first["index"].to_string();
    let args = ["bench-kernels", "--quick", "--keys", "64", "--only", "rotate", "--device", &index];
    let report = json(&[&args[..], &["--json"]].concat());
    assert!(report["bandwidth_gb_per_s"].as_f64() > Some(0.0), "{report}");
    assert_eq!(report["rows"][0]["kernel"], "bench/stream", "{report}");
    assert_eq!(error(&run(&["bench-kernels", "--keys", "0"])), "error: 0 keys: expected 1 to 1048576");
}
