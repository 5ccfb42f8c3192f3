//! The sizes of a decoder: metadata read, completed by defaults and checked against each other.

use turbo_gguf::Value;

use crate::ModelError;
use crate::keys::{Keys, MAX_HEAD_DIM, MAX_HEADS, MAX_WIDTH};

/// Sizes of a decoder-only transformer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hparams {
    /// Number of layers.
    pub(crate) n_layers: usize,
    /// Width of the residual stream.
    pub(crate) d_model: usize,
    /// Context trained for, in tokens.
    pub(crate) context_length: usize,
    /// Values of a K head.
    pub(crate) head_dim_k: usize,
    /// Values of a V head.
    pub(crate) head_dim_v: usize,
    /// Query heads, K/V heads and feed-forward width of every layer.
    pub(crate) layers: Vec<LayerSizes>,
    /// Added to the mean square by the norms.
    pub(crate) eps: f32,
}

/// Sizes that may differ from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerSizes {
    /// Query heads.
    pub(crate) n_heads: usize,
    /// K/V heads, a divisor of `n_heads`.
    pub(crate) n_kv_heads: usize,
    /// Width of the feed-forward part.
    pub(crate) d_ff: usize,
}

impl Hparams {
    /// Reads and checks the sizes of a file. Keys and defaults are those of llama.cpp.
    pub(crate) fn read(keys: &Keys<'_>) -> Result<Self, ModelError> {
        let d_model = keys.require_size("embedding_length", 1..=MAX_WIDTH)?;
        let n_layers = n_layers(keys)?;
        let n_heads = keys.sizes("attention.head_count", n_layers, 1..=MAX_HEADS, None)?;
        let n_kv_heads = keys.sizes("attention.head_count_kv", n_layers, 1..=MAX_HEADS, Some(&n_heads))?;
        let d_ff = keys.sizes("feed_forward_length", n_layers, 1..=MAX_WIDTH, None)?;
        for (layer, (&heads, &kv)) in n_heads.iter().zip(&n_kv_heads).enumerate() {
            if !heads.is_multiple_of(kv) {
                return Err(keys.invalid(
                    "attention.head_count_kv",
                    kv,
                    format!("a divisor of the {heads} query heads of layer {layer}"),
                ));
            }
        }
        let first_heads = n_heads.first().copied().unwrap_or(1);
        let head_dim_k = head_dim(keys, "attention.key_length", d_model, first_heads)?;
        let head_dim_v = head_dim(keys, "attention.value_length", d_model, first_heads)?;
        let widest = n_heads.iter().copied().max().unwrap_or(1);
        let largest = head_dim_k.max(head_dim_v);
        if widest as u64 * largest as u64 > MAX_WIDTH {
            return Err(keys.invalid(
                "attention.head_count",
                widest,
                format!("heads of {largest} values that make up at most {MAX_WIDTH}"),
            ));
        }
        let layers = n_heads.iter().zip(&n_kv_heads).zip(&d_ff);
        Ok(Self {
            n_layers,
            d_model,
            context_length: keys.require_size("context_length", 1..=u64::from(u32::MAX))?,
            head_dim_k,
            head_dim_v,
            layers: layers.map(|((&n_heads, &n_kv_heads), &d_ff)| LayerSizes { n_heads, n_kv_heads, d_ff }).collect(),
            eps: eps(keys)?,
        })
    }
}

/// A layer has more than one tensor, so the tensor table limits the number of layers that a file can mean.
fn n_layers(keys: &Keys<'_>) -> Result<usize, ModelError> {
    let tensors = keys.file.tensors().len();
    let n_layers = keys.require_size("block_count", 1..=u64::from(u32::MAX))?;
    if n_layers > tensors {
        return Err(keys.invalid(
            "block_count",
            n_layers,
            format!("no more layers than the file has tensors, {tensors}"),
        ));
    }
    Ok(n_layers)
}

fn head_dim(keys: &Keys<'_>, suffix: &str, d_model: usize, n_heads: usize) -> Result<usize, ModelError> {
    if let Some(stated) = keys.size(suffix, 1..=MAX_HEAD_DIM)? {
        return Ok(stated);
    }
    let head_dim = d_model / n_heads;
    if !d_model.is_multiple_of(n_heads) || head_dim as u64 > MAX_HEAD_DIM {
        return Err(keys.invalid(
            "attention.head_count",
            n_heads,
            format!("a divisor of the embedding length {d_model} giving heads of at most {MAX_HEAD_DIM} values"),
        ));
    }
    Ok(head_dim)
}

fn eps(keys: &Keys<'_>) -> Result<f32, ModelError> {
    let suffix = "attention.layer_norm_rms_epsilon";
    keys.file.metadata().require_f32(&keys.key(suffix))?;
    keys.number(suffix, 0.0, |eps| (0.0..1.0).contains(&eps), "a number from 0 to below 1")
}

/// Number of token ids: the tokenizer's tokens; in a file without them the stated size, or the embedding's rows.
pub(crate) fn n_vocab(keys: &Keys<'_>) -> Result<Option<usize>, ModelError> {
    if let Some(Value::Array(tokens)) = keys.file.metadata().get("tokenizer.ggml.tokens")
        && !tokens.is_empty()
    {
        return Ok(Some(tokens.len()));
    }
    let stated = keys.size("vocab_size", 1..=u64::from(u32::MAX))?;
    let rows = || usize::try_from(keys.file.tensor("token_embd.weight")?.rows()).ok();
    Ok(stated.or_else(rows))
}
