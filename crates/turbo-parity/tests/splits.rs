//! Splitting the keys over workgroups, or batching sequences together, changes no bit: on every adapter of this
//! machine.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuOptions, usable_adapters};
use turbo_parity::attention::{Case, Problem, Rotation};
use turbo_quant::KvType;
use turbo_testkit::gpus_found;

const PAIRS: [(KvType, KvType); 4] = [
    (KvType::Turbo4, KvType::Turbo4),
    (KvType::Turbo3, KvType::Turbo2),
    (KvType::Q4_0, KvType::Q8_0),
    (KvType::Q8_0, KvType::Turbo3),
];

fn on_every_gpu(test: impl Fn(&Gpu)) {
    for adapter in gpus_found(usable_adapters()) {
        eprintln!("{}", adapter.description);
        test(&Gpu::open(&adapter, &GpuOptions::default()).expect("the adapter opens"));
    }
}

/// The bits that the device gives when a workgroup takes `span_chunks` chunks.
fn bits(gpu: &Gpu, problem: &Problem, span_chunks: u32) -> Vec<u32> {
    let chosen = problem.variants(gpu).expect("a variant for the device");
    let y = problem.on_gpu(gpu, &Variants { span_chunks, ..chosen }).expect("the device works");
    y.into_iter().map(f32::to_bits).collect()
}

#[test]
fn any_split_of_the_keys_gives_the_same_bits() {
    on_every_gpu(|gpu| {
        for (k, v) in PAIRS {
            // 10 chunks: a split of 64 takes all, of 8 leaves a short last one.
            let case = Case { head_dim: (64, 64), group: 2, sinks: true, ..Case::new(k, v, 2400) };
            let problem = Problem::new(&case).expect("heads of 64 values");
            let want: Vec<u32> = problem.of_twin().into_iter().map(f32::to_bits).collect();
            for span_chunks in [1, 2, 8, 64] {
                assert!(bits(gpu, &problem, span_chunks) == want, "{k}/{v} with {span_chunks} chunks to a split");
            }
        }
    });
}

#[test]
fn sequences_give_the_same_bits_together_and_alone() {
    on_every_gpu(|gpu| {
        for (i, (k, v)) in PAIRS.into_iter().enumerate() {
            let sequences = vec![(300, 1), (70, 3), (1, 1), (600, 8), (64, 2)];
            let case = Case {
                head_dim: (64, 80),
                kv_heads: 2,
                group: 1 + i,
                sequences,
                window: (i % 2 == 1).then_some(100),
                soft_cap: (i % 3 == 1).then_some(30.0),
                sinks: i % 3 == 2,
                key_bias: (i == 3).then(|| Rotation::new(64)),
                ..Case::new(k, v, 600)
            };
            let problem = Problem::new(&case).expect("heads of 64 and 80 values");
            let together = bits(gpu, &problem, 2);
            let alone: Vec<u32> = (0..case.sequences.len()).flat_map(|s| bits(gpu, &problem.alone(s), 1)).collect();
            assert!(together == alone, "{k}/{v}: a batch of {} sequences gives other bits", case.sequences.len());
        }
    });
}
