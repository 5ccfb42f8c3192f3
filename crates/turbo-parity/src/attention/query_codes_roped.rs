//! `attention/query_codes_roped` against its twin: codes to the bit where norm and rotation change nothing, else what the
//! codes stand for.

use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_backend::{KvLayer, KvShape};
use turbo_cpu::attention::query_codes_roped::query_codes_roped;
use turbo_cpu::kv::kv_encode_roped::Turn;
use turbo_cpu::ops::RopeAngles;
use turbo_gpu::attention::decode::Scratch;
use turbo_gpu::attention::queries::RopedQueries;
use turbo_gpu::{Gpu, GpuError, ops, turn};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::named;
use super::query_codes::of_twin;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `attention/query_codes_roped`.
pub(crate) struct CodesRoped;

const HEAD_DIMS: [usize; 6] = [48, 64, 80, 128, 256, 576];
const SCALE: f32 = 0.088_388_35;
const EPS: f32 = 1e-6;
/// Query heads of a token.
const HEADS: usize = 3;

impl Parity for CodesRoped {
    fn kernel(&self) -> &'static Kernel {
        &attention::query_codes_roped::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let k_type = named(variant, "k_").unwrap_or(KvType::Turbo4);
        for (i, d) in HEAD_DIMS.into_iter().enumerate() {
            if d != 128 && variant.name.contains("h128") {
                continue;
            }
            let Ok(layer) = KvLayer::new(KvShape { n_kv_heads: 1, head_dim_k: d, head_dim_v: d }, k_type, k_type)
            else {
                continue;
            };
            let tokens = effort.of(13, 1300);
            let style = [RopeStyle::Neox, RopeStyle::Interleaved][i % 2];
            let mut random = Inputs::new(d as u64);
            let call = Call { gpu, variant, layer, style };
            let (still, query) = (vec![0; tokens], random.any(tokens * HEADS, d));
            let (got, _) = call.run(&query, &still, None)?;
            let want = of_twin(k_type, d, &query);
            let width = want.len() / (tokens * HEADS);
            tally.compare_bits(&format!("{tokens} tokens of {HEADS} heads of {d} values"), &got, &want, width);
            let positions: Vec<u32> = (0..tokens as u32).map(|t| t * 731).collect();
            let weight: Vec<f32> = random.normals(d).iter().map(|x| 1.0 + 0.3 * x).collect();
            let query = random.normals(tokens * HEADS * d);
            let (got, angles) = call.run(&query, &positions, Some(&weight))?;
            let norm = Some((&weight[..], EPS));
            let want = query_codes_roped((k_type, SCALE), &Turn { norm, angles: &angles, style }, &query, (HEADS, d));
            let words = layer_words(&layer);
            for (row, want) in got.chunks_exact(width).zip(want) {
                let Ok(want) = want else { continue };
                let mult = want.mults[0];
                let want: Vec<f32> = want.codes.iter().map(|&q| f32::from(q) * mult).collect();
                let mult = f32::from_bits(row[words]);
                let got: Vec<f32> = (0..d).map(|i| code(&row[..words], d, i) as f32 * mult).collect();
                tally.compare_values(&got, &want, d);
            }
        }
        Ok(())
    }
}

/// Words of the codes of a head.
fn layer_words(layer: &KvLayer) -> usize {
    layer.k.head_dim / 4 * if layer.k.kv_type == KvType::Q8_0 { 2 } else { 1 }
}

/// Code `i` of a head of `d`: of one plane, or 255 times the first and the second.
fn code(words: &[u32], d: usize, i: usize) -> i32 {
    let byte = |i: usize| i32::from(words[i / 4].to_le_bytes()[i % 4] as i8);
    if words.len() > d / 4 { 255 * byte(i) + byte(d + i) } else { byte(i) }
}

struct Call<'a> {
    gpu: &'a Gpu,
    variant: &'static Variant,
    layer: KvLayer,
    style: RopeStyle,
}

impl Call<'_> {
    /// Per row the words of codes, the factors, 1 if it is at fault; and the angles.
    fn run(
        &self,
        query: &[f32],
        positions: &[u32],
        weight: Option<&[f32]>,
    ) -> Result<(Vec<u32>, RopeAngles), GpuError> {
        let Self { gpu, variant, ref layer, style } = *self;
        let (d, tokens) = (layer.k.head_dim, positions.len());
        // A part of the head, in whole vectors.
        let pairs = d / 8 / 2 * 4;
        let inv_freq = (0..pairs).map(|i| 1e-5_f32.powf(i as f32 / pairs as f32)).collect();
        let mut angles = RopeAngles::default();
        angles.prepare(&RopeTable { style, inv_freq, magnitude: 1.0 }, positions);
        let (rows, words, blocks) = (tokens * HEADS, layer_words(layer), layer.k.scale_blocks);
        let scratch = Scratch::new(gpu, layer, rows, 1)?;
        let (from, factors) = (gpu.upload("query", query)?, gpu.upload("factors", angles.factors())?);
        let weight = weight.map(|weight| gpu.upload("weight", weight)).transpose()?;
        let faults = gpu.buffer::<u32>("faults", rows)?;
        let turn = turn::Turn {
            norm: weight.as_ref().map(|weight| ops::HeadNorm { weight: weight.bind(), eps: EPS }),
            pairs: pairs as u32,
            style,
            factors: factors.bind(),
            first_token: 0,
        };
        let call = RopedQueries {
            layer,
            n_heads: HEADS as u32,
            tokens: tokens as u32,
            query: from.bind(),
            turn,
            scale: SCALE,
            scratch: &scratch,
            faults: faults.bind(),
        };
        let mut recorder = gpu.recorder("query_codes_roped");
        call.record_with(&mut recorder, variant)?;
        recorder.submit()?;
        let (codes, mults) = scratch.queries(gpu, rows * words, rows * blocks)?;
        let faults = gpu.download(&faults, 0..rows)?;
        let row = |i: usize| {
            let mults = mults[i * blocks..][..blocks].iter().map(|mult| mult.to_bits());
            codes[i * words..][..words].iter().copied().chain(mults).chain([faults[i]]).collect::<Vec<_>>()
        };
        Ok(((0..rows).flat_map(row).collect(), angles))
    }
}
