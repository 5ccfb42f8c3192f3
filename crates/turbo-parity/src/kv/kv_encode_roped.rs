//! `kv/kv_encode_roped` against its twin: what is stored to the bit where norm and rotation change nothing, else what the
//! codes stand for.

use turbo_backend::SideLayout;
use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_cpu::kv::kv_decode::kv_decode;
use turbo_cpu::kv::kv_encode_roped::{Turn, kv_encode_roped};
use turbo_cpu::kv::{kv_encode, kv_encode_f16};
use turbo_cpu::ops::RopeAngles;
use turbo_gpu::kv::cache::{PoolPart, Rows};
use turbo_gpu::kv::kv_encode::{KvEncode, NewHeads};
use turbo_gpu::kv::kv_encode_roped::KvEncodeRoped;
use turbo_gpu::{Gpu, GpuError, ops, turn};
use turbo_wgsl::{Kernel, Variant};

use super::cache::{Shape, heads};
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `kv/kv_encode_roped`.
pub(crate) struct EncodeRoped;

const EPS: f32 = 1e-6;

/// A norm and a rotation.
struct Turned {
    weight: Option<Vec<f32>>,
    angles: RopeAngles,
    pairs: usize,
    style: RopeStyle,
}

impl Turned {
    /// One that changes no value: without norm, by angles of 0, or, where the sign of a zero counts, of no pairs.
    fn identity(layout: &SideLayout, tokens: usize, style: RopeStyle) -> Self {
        let turned = if layout.kv_type.is_coded() { layout.head_dim } else { 0 };
        let (pairs, positions) = (pairs_of(turned, style), vec![0; tokens]);
        Self { weight: None, angles: angles(pairs, style, 1.0, &positions), pairs, style }
    }

    /// An ordinary one; `part` of the head is turned.
    fn ordinary(head_dim: usize, tokens: usize, style: RopeStyle, part: usize, random: &mut Inputs) -> Self {
        let pairs = pairs_of(head_dim / part, style);
        let positions: Vec<u32> = (0..tokens as u32).map(|t| t * 731).collect();
        let weight = random.normals(head_dim).iter().map(|x| 1.0 + 0.3 * x).collect();
        Self { weight: Some(weight), angles: angles(pairs, style, 1.25, &positions), pairs, style }
    }

    fn twin(&self) -> Turn<'_> {
        Turn { norm: self.weight.as_deref().map(|weight| (weight, EPS)), angles: &self.angles, style: self.style }
    }
}

fn angles(pairs: usize, style: RopeStyle, magnitude: f32, positions: &[u32]) -> RopeAngles {
    let inv_freq = (0..pairs).map(|i| 1e-5_f32.powf(i as f32 / pairs as f32)).collect();
    let mut angles = RopeAngles::default();
    angles.prepare(&RopeTable { style, inv_freq, magnitude }, positions);
    angles
}

/// As many pairs as whole vectors of four have room for.
fn pairs_of(values: usize, style: RopeStyle) -> usize {
    match style {
        RopeStyle::Neox => values / 8 * 4,
        RopeStyle::Interleaved => values / 4 * 2,
    }
}

impl Parity for EncodeRoped {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::kv::kv_encode_roped::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        ["turbo3", "turbo2", "q4_0"].contains(&variant.name)
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let (tokens, n_heads) = effort.of((37, 2), (577, 4));
        let whole = |shape: &Shape| shape.sides.iter().all(|side| side.layout.head_dim % 4 == 0);
        for (i, shape) in Shape::all(variant, n_heads, tokens).filter(whole).enumerate() {
            let style = [RopeStyle::Neox, RopeStyle::Interleaved][i % 2];
            let (d, tokens) = (shape.sides[0].layout.head_dim, shape.slots.len());
            let mut random = Inputs::new(7000 + i as u64);
            let x = [0, 1].map(|side| {
                let layout = &shape.sides[side].layout;
                heads(layout, tokens * layout.n_heads, &mut random)
            });
            let (got, want) =
                store(gpu, variant, &shape, &x, &Turned::identity(&shape.sides[0].layout, tokens, style))?;
            tally.compare_bits(&format!("{}, whole pool", shape.name()), &got, &want, got.len());
            let x = [0, 1].map(|side| {
                let layout = &shape.sides[side].layout;
                random.normals(tokens * layout.n_heads * layout.head_dim)
            });
            let turned = Turned::ordinary(d, tokens, style, 1 + i % 3 / 2, &mut random);
            let (got, want) = store(gpu, variant, &shape, &x, &turned)?;
            for side in &shape.sides {
                let values = |pool: &[u32]| {
                    let mut y = vec![0.0; tokens * side.layout.n_heads * side.layout.head_dim];
                    kv_decode(side, pool, &shape.slots, &mut y, false);
                    y
                };
                tally.compare_values(&values(&got), &values(&want), side.layout.head_dim);
            }
        }
        Ok(())
    }
}

/// The pool, and the first fault behind it, as the device and as the twin leave them.
fn store(
    gpu: &Gpu,
    variant: &'static Variant,
    shape: &Shape,
    x: &[Vec<f32>; 2],
    turned: &Turned,
) -> Result<(Vec<u32>, Vec<u32>), GpuError> {
    let [k, v] = &shape.sides;
    let mut want = vec![0x5a5a_5a5a; shape.words()];
    let encode = if v.layout.kv_type.is_coded() { kv_encode::kv_encode } else { kv_encode_f16::kv_encode_f16 };
    let faults = kv_encode_roped(k, &turned.twin(), &x[0], &shape.slots, &mut want).len()
        + encode(v, &x[1], &shape.slots, &mut want).len();
    let slots = gpu.upload("slots", &shape.slots)?;
    let pool = gpu.upload("pool", &vec![0x5a5a_5a5a_u32; shape.words()])?;
    let reports = gpu.upload("faults", &[0_u32])?;
    let values = [gpu.upload("k", &x[0])?, gpu.upload("v", &x[1])?];
    // Two tokens come before the first one.
    let before = vec![f32::NAN; (4 * turned.pairs).max(4)];
    let factors = gpu.upload("factors", &[&before, turned.angles.factors()].concat())?;
    let weight = turned.weight.as_ref().map(|weight| gpu.upload("weight", weight)).transpose()?;
    let new = |side: usize| {
        let cache = &shape.sides[side];
        let row = (cache.layout.n_heads * cache.layout.head_dim) as u32;
        let rows = Rows { bind: values[side].bind(), first: 0, row };
        Some(NewHeads { rows, layout: cache.layout, offset: cache.offset as u32 })
    };
    let (blocks, block_words) = (shape.n_blocks as u32, k.block_words as u32);
    let encode = KvEncode {
        k: new(0),
        v: new(1),
        tokens: shape.slots.len() as u32,
        slots: slots.bind(),
        pool: PoolPart { bind: pool.bind(), first_block: 0, blocks, block_words },
        faults: reports.bind(),
        fault: 0,
    };
    let turn = turn::Turn {
        norm: weight.as_ref().map(|weight| ops::HeadNorm { weight: weight.bind(), eps: EPS }),
        pairs: turned.pairs as u32,
        style: turned.style,
        factors: factors.bind(),
        first_token: 2,
    };
    let mut recorder = gpu.recorder("kv_encode_roped");
    KvEncodeRoped { encode, turn }.record_with(&mut recorder, variant)?;
    // Again without V: it changes nothing.
    KvEncodeRoped { encode: KvEncode { v: None, ..encode }, turn }.record_with(&mut recorder, variant)?;
    recorder.submit()?;
    let mut got = gpu.download(&pool, 0..shape.words())?;
    got.push((gpu.download(&reports, 0..1)?[0] != 0).into());
    want.push((faults != 0).into());
    Ok((got, want))
}
