//! Checks every variant of every kernel and writes the Rust table of them.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    for input in ["kernels", "shared", "variants.toml", "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let (Some(root), Some(out)) = (std::env::var_os("CARGO_MANIFEST_DIR"), std::env::var_os("OUT_DIR")) else {
        println!("cargo::error=this build script runs under cargo only");
        return ExitCode::FAILURE;
    };
    match turbo_wgsl_check::build(Path::new(&root), &Path::new(&out).join("kernels.rs")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failures) => {
            for failure in failures.0 {
                println!("cargo::error={}", failure.to_string().replace('\n', " "));
            }
            ExitCode::FAILURE
        }
    }
}
