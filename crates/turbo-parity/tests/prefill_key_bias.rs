//! Where attention_prefill looks for the parts of the scores that a key bias makes.

use turbo_gpu::attention::prefill::Variants;
use turbo_gpu::{Gpu, GpuOptions, usable_adapters};
use turbo_parity::attention::{Case, Problem};
use turbo_quant::KvType;
use turbo_testkit::gpus_found;

/// A key with so low a score has the weight 0 and adds nothing to the denominator.
const HIDDEN: i32 = -(1 << 29);

#[test]
fn keys_that_the_bias_hides_are_those_outside_a_window() {
    let Some(adapter) = gpus_found(usable_adapters()).into_iter().next() else { return };
    let gpu = Gpu::open(&adapter, &GpuOptions::default()).expect("the adapter opens");
    let (keys, tokens, window) = (300_usize, 5_usize, 70_usize);
    let plain = Case {
        head_dim: (64, 64),
        kv_heads: 2,
        group: 3,
        sequences: vec![(keys, tokens)],
        ..Case::new(KvType::Turbo4, KvType::Turbo4, keys)
    };
    let windowed = Problem::new(&Case { window: Some(window as u32), ..plain.clone() }).unwrap();
    let biased = Problem::new(&plain).unwrap();
    // Per row (token by token, six heads each) the keys of two chunks.
    let bias: Vec<i32> = (0..tokens * 6 * 512)
        .map(|i| {
            let (position, key) = (keys - tokens + i / 512 / 6, i % 512);
            if key + window <= position { HIDDEN } else { 0 }
        })
        .collect();
    let variants = Variants::find(&gpu, biased.layer()).unwrap().expect("there is a variant for every device");
    let want = windowed.on_gpu_prefill(&gpu, &variants, None).unwrap();
    let got = biased.on_gpu_prefill(&gpu, &variants, Some(&bias)).unwrap();
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&got), bits(&want));
    assert_ne!(bits(&got), bits(&biased.on_gpu_prefill(&gpu, &variants, None).unwrap()));
}
