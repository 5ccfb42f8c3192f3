//! Which kernels a device gets for the work that takes the time.

use serde::Serialize;
use turbo_backend::{KvLayer, KvShape};
use turbo_gguf::GgmlType;
use turbo_quant::KvType;
use turbo_wgsl::{Feature, Variant};

use crate::attention::{decode, prefill};
use crate::gpu::Gpu;
use crate::matmul::{FewTokens, half_variant};

/// Kernels chosen by what a device can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kernels {
    /// Most tokens whose products with quantised weights are taken row by row; beyond, by tiles.
    pub matvec_tokens: u32,
    /// The same with float weights.
    pub float_matvec_tokens: u32,
    /// What tiles of quantised weights are made of.
    pub tiles: &'static str,
    /// What tiles of float weights are made of.
    pub float_tiles: &'static str,
    /// How attention over an f16 cache shares work, of a token and of many.
    pub attention_f16: [&'static str; 2],
    /// The same over a turbo4 cache.
    pub attention_turbo4: [&'static str; 2],
}

/// Heads as most models have them.
const SHAPE: KvShape = KvShape { n_kv_heads: 8, head_dim_k: 128, head_dim_v: 128 };

impl Kernels {
    /// What `gpu` gets, as it is decided when a model is loaded.
    pub fn of(gpu: &Gpu) -> Self {
        let few = FewTokens::of(gpu);
        let halves = |ty| half_variant(gpu, ty, (4096, 512)).ok().map(matrices);
        Self {
            matvec_tokens: few.codes,
            float_matvec_tokens: few.floats,
            tiles: halves(GgmlType::Q4_K).unwrap_or("dp4a"),
            float_tiles: halves(GgmlType::F16).unwrap_or("f32"),
            attention_f16: attention(gpu, KvType::F16),
            attention_turbo4: attention(gpu, KvType::Turbo4),
        }
    }
}

fn matrices(variant: &Variant) -> &'static str {
    let sixteen = variant.features.contains(&Feature::CoopMatrix16);
    if sixteen { "cooperative matrices 16x16" } else { "cooperative matrices 8x8" }
}

fn attention(gpu: &Gpu, kv_type: KvType) -> [&'static str; 2] {
    let Ok(layer) = KvLayer::new(SHAPE, kv_type, kv_type) else { return ["none"; 2] };
    let decode = decode::Variants::choose(gpu, &layer, 5).map(|variants| variants.decode);
    let prefill = prefill::Variants::find(gpu, &layer).ok().flatten().map(|variants| variants.prefill);
    [way(decode.ok()), way(prefill)]
}

fn way(variant: Option<&Variant>) -> &'static str {
    let Some(variant) = variant else { return "none" };
    let needs = |feature| variant.features.contains(&feature);
    if needs(Feature::CoopMatrix16) || needs(Feature::CoopMatrix8) {
        return matrices(variant);
    }
    if needs(Feature::Subgroup) { "subgroups" } else { "workgroups" }
}
