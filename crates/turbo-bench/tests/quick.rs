//! The quick measurements on every adapter of this machine. No time decides a test.

use turbo_bench::{BenchError, BenchOptions, BenchRow, run};
use turbo_gpu::{Gpu, GpuOptions, usable_adapters};
use turbo_testkit::gpus_found;

/// What has rows; `attention` is the dispatches of one call together.
const MEASURED: &[&str] = &[
    "bench/stream",
    "kv/rotate",
    "kv/kv_encode",
    "kv/kv_encode_f16",
    "kv/kv_decode",
    "kv/kv_decode_f16",
    "attention/query_codes",
    "attention/attention_decode",
    "attention/attention_decode_f16",
    "attention/attention_combine",
    "attention/attention_combine_f16",
    "attention",
    "matmul/matvec",
    "matmul/matvec_float",
    "matmul/matvec_gated",
    "matmul/matvec_joined",
    "matmul/matvec_residual",
    "matmul/tiles",
    "matmul/tiles_float",
];

fn open_all() -> Vec<Gpu> {
    let found = gpus_found(usable_adapters());
    found.iter().map(|adapter| Gpu::open(adapter, &GpuOptions::default()).expect("the adapter opens")).collect()
}

/// A small shape: software adapters take their time.
fn small() -> BenchOptions {
    BenchOptions { keys: 300, heads: 4, kv_heads: 2, quick: true, ..BenchOptions::default() }
}

fn is_sane(row: &BenchRow) -> bool {
    let numbers = [row.microseconds, row.gb_per_s, row.share_of_bandwidth];
    numbers.iter().all(|n| n.is_finite() && *n > 0.0)
        && row.spread >= 0.0
        && row.bytes > 0
        && row.ops > 0
        && row.samples > 0
        && row.repetitions > 0
        && !row.shape.is_empty()
}

#[test]
fn everything_measured_has_a_row() {
    for gpu in open_all() {
        let mut told = 0;
        let report = run(&gpu, &small(), |row| {
            told += 1;
            eprintln!("{}: {}[{}], {}: {:.1} us", gpu.name(), row.kernel, row.variant, row.shape, row.microseconds);
        })
        .expect("the device works");
        assert_eq!(told, report.rows.len());
        assert_eq!(report.rows[0].kernel, "bench/stream");
        assert!((report.rows[0].share_of_bandwidth - 1.0).abs() < 1e-9);
        for name in MEASURED {
            assert!(report.rows.iter().any(|row| row.kernel == *name), "{name} was not measured");
        }
        let odd: Vec<_> = report.rows.iter().filter(|row| !is_sane(row)).collect();
        assert!(odd.is_empty(), "{odd:#?}");
        let json = serde_json::to_value(&report).expect("a report is JSON");
        assert!(json["clock"] == "gpu" || json["clock"] == "wall");
        assert!(json["rows"][0]["microseconds"].is_number());
    }
}

#[test]
fn a_filter_leaves_what_it_names() {
    let Some(gpu) = open_all().into_iter().next() else { return };
    let filter = |text: &str| BenchOptions { filter: Some(text.to_owned()), all_variants: true, ..small() };
    let report = run(&gpu, &filter("kv_encode[turbo3"), |_| {}).expect("the device works");
    assert!(report.rows.len() > 2);
    assert!(report.rows[1..].iter().all(|row| row.kernel == "kv/kv_encode" && row.variant.starts_with("turbo3")));
    let error = run(&gpu, &filter("nothing"), |_| {}).expect_err("nothing is called so");
    assert!(matches!(error, BenchError::Filter { .. }));
    assert_eq!(
        error.to_string(),
        "no kernel variant that is measured has \"nothing\" in its name: leave the filter out to see all of them"
    );
}
