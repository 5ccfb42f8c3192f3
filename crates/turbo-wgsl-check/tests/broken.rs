//! A shader that one of our targets could not get is refused, with file, line, variant and target.

use std::process::Command;

use turbo_wgsl_check::{Sources, compile, layout_assertion};

/// Sources of one kernel `kv/k` with two variants, its body and the option's keys given.
fn sources(body: &str, option: &str, class: &str) -> Sources {
    let kernel = format!(
        "// A kernel.\nstruct KParams {{ zero: u32, n: u32 }}\n\
         @group(0) @binding(0) var<storage, read> x: array<f32>;\n\
         @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n\
         #params KParams\n#import piece\n\
         @compute @workgroup_size(SIZE)\n\
         fn main(@builtin(local_invocation_index) i: u32) {{\n{body}\n}}\n"
    );
    let piece = "\nfn twice(v: f32) -> f32 {\n    return v + v;\n}\n";
    let table = format!(
        "[kv.k]\nclass = {class}\ndefine = {{ SIZE = 64 }}\n[[kv.k.axis]]\n_ = {{}}\nspecial = {{ define = {{ SIZE = 32 }}{option} }}\n"
    );
    Sources {
        files: [("kernels/kv/k.wgsl", kernel.as_str()), ("shared/piece.wgsl", piece)]
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into(),
        variants: table,
    }
}

fn refused(sources: &Sources) -> String {
    compile(sources).expect_err("a broken source was accepted").to_string()
}

#[test]
fn a_sound_kernel_is_accepted() {
    let compiled = compile(&sources("y[i] = twice(x[i]);", "", "\"exact\"")).unwrap();
    let kernel = &compiled.kernels[0];
    assert_eq!(kernel.summary, "A kernel");
    let labels: Vec<&str> = kernel.variants.iter().map(|v| v.label.as_str()).collect();
    assert_eq!(labels, ["k", "k[special]"]);
    assert_eq!(kernel.variants[1].reflection.workgroup_size, [32, 1, 1]);
    let bindings: Vec<String> =
        kernel.variants[0].reflection.bindings.iter().map(|b| format!("{} {:?} {}", b.name, b.access, b.ty)).collect();
    assert_eq!(bindings, ["x Read array<f32>", "y ReadWrite array<f32>"]);
}

#[test]
fn mistakes_in_wgsl_name_file_line_and_variant() {
    let message = refused(&sources("y[i] = thrice(x[i]);", "", "\"exact\""));
    assert_eq!(
        message.lines().next(),
        Some(
            "wgsl/kernels/kv/k.wgsl:9: kv/k: parse: no definition in scope for identifier: `thrice` (unknown identifier)"
        )
    );
    assert!(message.contains("kv/k[special]: parse"), "{message}");

    let mut broken = sources("y[i] = twice(x[i]);", "", "\"exact\"");
    broken
        .files
        .insert("shared/piece.wgsl".to_owned(), "\nfn twice(v: f32) -> f32 {\n    return u32(v);\n}\n".to_owned());
    let message = refused(&broken);
    assert!(message.starts_with("wgsl/shared/piece.wgsl:3: kv/k: validation: "), "{message}");
}

#[test]
fn what_dx12_cannot_get_is_refused() {
    let mut broken = sources("y[i] = twice(x[i]);", "", "\"exact\"");
    let kernel = broken.files.get_mut("kernels/kv/k.wgsl").unwrap();
    // DX12 takes root constants by a struct; every other target takes this.
    *kernel = kernel.replace("struct KParams { zero: u32, n: u32 }", "alias KParams = u32;");
    let message = refused(&broken);
    assert!(
        message.starts_with(
            "wgsl/kernels/kv/k.wgsl:8: kv/k: translation to HLSL (DX12): push-constant 'params' has non-struct type"
        ),
        "{message}"
    );
}

#[test]
fn what_metal_cannot_get_is_refused() {
    let body =
        "#if SIZE == 32\nlet m = coopLoad<coop_mat16x16<f32, C>>(&x[0], 16u);\ncoopStore(m, &y[0], 16u);\n#endif";
    let message = refused(&sources(body, ", features = [\"coop_matrix8\"]", "{ bounded = 1e-6 }"));
    assert_eq!(
        message,
        "wgsl/kernels/kv/k.wgsl:8: kv/k[special]: translation to MSL (Metal): simdgroup_float16x16: Metal has 8x8 \
         matrices only\n"
    );
    compile(&sources(body, ", features = [\"coop_matrix16\"]", "{ bounded = 1e-6 }")).unwrap();
}

#[test]
fn undeclared_features_are_refused() {
    let message = refused(&sources("y[i] = subgroupAdd(twice(x[i]));", "", "{ bounded = 1e-6 }"));
    assert!(message.starts_with("wgsl/kernels/kv/k.wgsl:"), "{message}");
    assert!(message.contains("kv/k: validation: "), "{message}");
    let message = refused(&sources("y[i] = f32(f16(x[i]));", "", "{ bounded = 1e-6 }"));
    assert!(message.contains("kv/k: parse: ") && message.contains("f16"), "{message}");
}

#[test]
fn limits_are_held() {
    let mut broken = sources("w[i] = x[i];\ny[i] = w[63u - i];", "", "\"exact\"");
    let kernel = broken.files.get_mut("kernels/kv/k.wgsl").unwrap();
    kernel.insert_str(0, "var<workgroup> w: array<f32, 5000>;\n");
    let message = refused(&broken);
    assert!(
        message.contains(
            "kv/k: limits: 20000 bytes of workgroup memory, where 16384 are declared: use less, or raise \
             limits.workgroup_bytes of the variant"
        ),
        "{message}"
    );
    broken.variants = broken
        .variants
        .replace("define = { SIZE = 64 }", "define = { SIZE = 64 }\nlimits = { workgroup_bytes = 20000 }");
    compile(&broken).unwrap();
}

#[test]
fn exact_kernels_keep_products_from_adds() {
    let cases = [
        ("y[i] = x[i] * 3.0 + 1.0;", "a product meets an add in the open"),
        ("let p = x[i] * 3.0;\nlet q = -p;\ny[i] = 1.0 - q;", "a product meets an add in the open"),
        ("y[i] = fma(x[i], 2.0, 1.0);", "Fma of f32 differs between devices"),
        ("y[i] = exp2(x[i]);", "Exp2 of f32 differs between devices"),
        ("y[i] = x[i] / 3.0;", "f32 division differs between devices"),
        ("y[i] = sqrt(x[i]);", "roots differ between devices"),
        ("y[i] = dot(vec2<f32>(x[i]), vec2<f32>(x[0]));", "Dot of f32 differs between devices"),
    ];
    for (body, reason) in cases {
        let message = refused(&sources(body, "", "\"exact\""));
        assert!(message.contains(&format!("kv/k: exactness: {reason}")), "{body}: {message}");
        assert!(message.starts_with("wgsl/kernels/kv/k.wgsl:"), "{message}");
        compile(&sources(body, "", "{ bounded = 1e-6 }")).unwrap();
    }
    let subgroup = ", features = [\"subgroup\"]";
    let body = "#if SIZE == 32\nif i < 8u {\ny[i] = subgroupAdd(x[i]);\n}\n#endif";
    let message = refused(&sources(body, subgroup, "\"exact\""));
    assert!(message.contains("kernels/kv/k.wgsl:11: kv/k[special]: exactness: subgroups add"), "{message}");
    compile(&sources(
        &body.replace("x[i]", "i").replace("subgroup", "f32(subgroup").replace(");", "));"),
        subgroup,
        "\"exact\"",
    ))
    .unwrap();
    compile(&sources("y[i] = x[i] * 3.0;\nlet n = 3u * i + 1u;\ny[n] = 1.0;", "", "\"exact\"")).unwrap();
}

#[test]
fn the_table_and_the_files_belong_together() {
    let mut broken = sources("y[i] = twice(x[i]);", "", "\"exact\"");
    broken.files.insert("kernels/kv/other.wgsl".to_owned(), String::new());
    broken.variants.push_str("\n[op.missing]\nclass = \"exact\"\n");
    let message = refused(&broken);
    assert!(message.contains("wgsl/kernels/kv/other.wgsl has no entry [family.kernel]"), "{message}");
    assert!(message.contains("[op.missing]: there is no wgsl/kernels/op/missing.wgsl"), "{message}");

    let broken = sources("y[i] = twice(x[i]);", ", override = { M = 1 }", "\"exact\"");
    assert!(refused(&broken).contains("kv/k[special]: override constants: "), "{}", refused(&broken));
    let mut broken = sources("y[i] = twice(x[i]);", "", "\"exact\"");
    broken.variants = broken.variants.replace("{ SIZE = 64 }", "{ SIZE = 64, SISE = 3 }");
    assert!(refused(&broken).contains("[kv.k] defines SISE, which its source never uses"), "{}", refused(&broken));
}

#[test]
fn bindings_are_the_same_in_all_variants_and_counted_from_zero() {
    let mut broken = sources("y[i] = twice(x[i]);", "", "\"exact\"");
    let kernel = broken.files.get_mut("kernels/kv/k.wgsl").unwrap();
    *kernel = kernel.replace("@binding(1)", "@binding(2)");
    assert!(refused(&broken).contains("y: binding 2 where 1 was expected"), "{}", refused(&broken));

    let mut broken = sources("y[i] = twice(x[i]);", "", "\"exact\"");
    let kernel = broken.files.get_mut("kernels/kv/k.wgsl").unwrap();
    kernel.push_str("#if SIZE == 32\n@group(0) @binding(2) var<storage, read> z: array<u32>;\n#endif\n");
    assert!(refused(&broken).contains("differ from those of k: all variants"), "{}", refused(&broken));
}

/// Compiles the assertions that the build generates against a params struct that has drifted from its WGSL.
#[test]
fn a_params_struct_with_another_layout_does_not_compile() {
    let compiled = compile(&sources("y[i] = f32(params.n);", "", "\"exact\"")).unwrap();
    let layout = &compiled.kernels[0].variants[0].reflection.params;
    let assertion = layout_assertion(layout, "wgsl/kernels/kv/k.wgsl", "crate::params");
    let rust = |fields: &str| {
        format!(
            "pub mod params {{ pub struct Zero(pub u32);\n#[repr(C)] pub struct KParams {{ {fields} }} }}\n{assertion}"
        )
    };
    let errors = |fields: &str| {
        let folder = std::env::temp_dir().join(format!("turbo-wgsl-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("layout.rs");
        std::fs::write(&file, rust(fields)).unwrap();
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
            .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "-o"])
            .arg(folder.join("layout.rmeta"))
            .arg(&file)
            .output()
            .unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(errors("pub zero: Zero, pub n: u32").0);
    let (ok, message) = errors("pub n: u32, pub zero: Zero");
    assert!(
        !ok && message.contains("KParams.zero does not start at byte 0, where wgsl/kernels/kv/k.wgsl has it"),
        "{message}"
    );
    let (ok, message) = errors("pub zero: Zero, pub n: u32, pub more: u32");
    assert!(!ok && message.contains("KParams does not have the 8 bytes of wgsl/kernels/kv/k.wgsl"), "{message}");
    let (ok, message) = errors("pub zero: Zero, pub m: u32");
    assert!(!ok && message.contains("no field `n` on type `&KParams`"), "{message}");
    let (ok, message) = errors("pub zero: Zero, pub n: f32");
    assert!(!ok && message.contains("expected `&u32`, found `&f32`"), "{message}");
}
