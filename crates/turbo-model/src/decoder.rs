//! The pre-norm decoder layer that llama, Mistral and Qwen share, as steps.

use turbo_backend::KvShape;
use turbo_backend::plan::{Activation, AttentionSpec, Plan, RopeStyle, Step, ValueId, WeightId};
use turbo_gguf::Value;

use crate::ModelError;
use crate::builder::Builder;
use crate::hparams::{Hparams, LayerSizes};
use crate::keys::Keys;
use crate::{refuse, rope_keys};

/// Whether a kind of tensor belongs to an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Never; one that is there is refused at the end as unknown.
    Never,
    /// Used where the file has it.
    Optional,
    /// Its absence is an error.
    Required,
}

/// What distinguishes the architectures of this family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// Which values of a head form a rotated pair.
    pub(crate) rope: RopeStyle,
    /// Biases of the Q, K and V projections.
    pub(crate) qkv_bias: Presence,
    /// Biases of the attention output and the feed-forward projections.
    pub(crate) other_bias: Presence,
    /// Bias of the logits.
    pub(crate) logits_bias: Presence,
    /// RMS norm of every Q and K head before rope.
    pub(crate) qk_norm: bool,
    /// Frequency divisors from tensors (llama 3, LongRoPE).
    pub(crate) rope_divisors: bool,
    /// `attention.sliding_window` acts in every layer, as in Mistral 7B v0.1. Elsewhere it is refused, unless it
    /// is as long as the context and so never acts.
    pub(crate) window_everywhere: bool,
}

/// Values and numbers that all layers share.
struct Shared {
    x: ValueId,
    hidden: ValueId,
    rope: usize,
    scale: f32,
    window: Option<usize>,
}

/// The plan of a model of this family, for a context of `tokens` (the model's own if `None`).
pub(crate) fn plan(
    keys: Keys<'_>,
    traits: &Traits,
    tokens: Option<usize>,
) -> Result<Plan, ModelError> {
    refuse::check(&keys)?;
    let hparams = Hparams::read(&keys)?;
    let mut rope = rope_keys::read(&keys, &hparams, traits.rope)?;
    let mut builder = Builder::new(keys, &hparams);
    if traits.rope_divisors {
        let tokens = tokens.unwrap_or(hparams.context_length);
        rope.divisors = rope_keys::divisors(&keys, &hparams, &mut builder, rope.dims, tokens)?;
    }
    let shared = Shared {
        x: builder.value("x", hparams.d_model),
        hidden: builder.value("hidden", hparams.d_model),
        rope: builder.rope(rope.table()),
        scale: attention_scale(&keys, hparams.head_dim_k)?,
        window: window(&keys, &hparams, traits)?,
    };
    let n_vocab = n_vocab(&keys)?;
    let table = builder.weight("token_embd.weight", &[hparams.d_model, n_vocab])?;
    builder.step(Step::Embed {
        table,
        out: shared.x,
        scale: 1.0,
    });
    for (layer, &sizes) in hparams.layers.iter().enumerate() {
        builder.start_layer();
        attention(&mut builder, &hparams, traits, &shared, layer, sizes)?;
        if layer + 1 == hparams.n_layers {
            // No later step looks at another token.
            builder.step(Step::SelectLogits { x: shared.x });
        }
        feed_forward(&mut builder, &hparams, traits, &shared, layer, sizes)?;
    }
    let logits = logits(&mut builder, &hparams, traits, &shared, (table, n_vocab))?;
    builder.finish(logits)
}

/// x += output(attention(norm(x))).
fn attention(
    b: &mut Builder<'_>,
    hparams: &Hparams,
    traits: &Traits,
    shared: &Shared,
    layer: usize,
    sizes: LayerSizes,
) -> Result<(), ModelError> {
    let &Hparams {
        d_model,
        head_dim_k,
        head_dim_v,
        eps,
        ..
    } = hparams;
    let &Shared {
        x,
        hidden,
        rope,
        scale,
        window,
    } = shared;
    let LayerSizes {
        n_heads,
        n_kv_heads,
        ..
    } = sizes;
    norm(
        b,
        x,
        &format!("blk.{layer}.attn_norm.weight"),
        d_model,
        hidden,
        eps,
    )?;
    let mut project = |part: &str, width| {
        let out = b.value(part, width);
        let name = format!("blk.{layer}.attn_{part}");
        linear(b, hidden, &name, traits.qkv_bias, [d_model, width], out)?;
        Ok::<_, ModelError>(out)
    };
    let q = project("q", n_heads * head_dim_k)?;
    let k = project("k", n_kv_heads * head_dim_k)?;
    let v = project("v", n_kv_heads * head_dim_v)?;
    if traits.qk_norm {
        norm(
            b,
            q,
            &format!("blk.{layer}.attn_q_norm.weight"),
            head_dim_k,
            q,
            eps,
        )?;
        norm(
            b,
            k,
            &format!("blk.{layer}.attn_k_norm.weight"),
            head_dim_k,
            k,
            eps,
        )?;
    }
    b.step(Step::Rope {
        x: q,
        head_dim: head_dim_k,
        rope,
    });
    b.step(Step::Rope {
        x: k,
        head_dim: head_dim_k,
        rope,
    });
    let slot = b.kv_slot(KvShape {
        n_kv_heads,
        head_dim_k,
        head_dim_v,
    });
    b.step(Step::KvWrite { slot, k, v });
    let d_heads = n_heads * head_dim_v;
    let heads = b.value("heads", d_heads);
    let spec = AttentionSpec {
        n_heads,
        scale,
        window,
        soft_cap: None,
        sinks: None,
    };
    b.step(Step::Attention {
        slot,
        q,
        out: heads,
        spec,
    });
    let name = format!("blk.{layer}.attn_output");
    linear(
        b,
        heads,
        &name,
        traits.other_bias,
        [d_heads, d_model],
        hidden,
    )?;
    b.step(Step::Add { x, y: hidden });
    Ok(())
}

/// x += down(silu(gate(norm(x))) * up(norm(x))).
fn feed_forward(
    b: &mut Builder<'_>,
    hparams: &Hparams,
    traits: &Traits,
    shared: &Shared,
    layer: usize,
    sizes: LayerSizes,
) -> Result<(), ModelError> {
    let &Shared { x, hidden, .. } = shared;
    let (d_model, d_ff) = (hparams.d_model, sizes.d_ff);
    norm(
        b,
        x,
        &format!("blk.{layer}.ffn_norm.weight"),
        d_model,
        hidden,
        hparams.eps,
    )?;
    let (gate, up) = (b.value("gate", d_ff), b.value("up", d_ff));
    let bias = traits.other_bias;
    linear(
        b,
        hidden,
        &format!("blk.{layer}.ffn_gate"),
        bias,
        [d_model, d_ff],
        gate,
    )?;
    linear(
        b,
        hidden,
        &format!("blk.{layer}.ffn_up"),
        bias,
        [d_model, d_ff],
        up,
    )?;
    b.step(Step::GatedAct {
        gate,
        up,
        activation: Activation::Silu,
    });
    linear(
        b,
        gate,
        &format!("blk.{layer}.ffn_down"),
        bias,
        [d_ff, d_model],
        hidden,
    )?;
    b.step(Step::Add { x, y: hidden });
    Ok(())
}

/// The last norm and the product with the output matrix, which is the embedding where the file has none.
fn logits(
    b: &mut Builder<'_>,
    hparams: &Hparams,
    traits: &Traits,
    shared: &Shared,
    (table, n_vocab): (WeightId, usize),
) -> Result<ValueId, ModelError> {
    let &Shared { x, hidden, .. } = shared;
    norm(
        b,
        x,
        "output_norm.weight",
        hparams.d_model,
        hidden,
        hparams.eps,
    )?;
    let weight = b
        .optional("output.weight", &[hparams.d_model, n_vocab])?
        .unwrap_or(table);
    let bias = bias(b, "output", traits.logits_bias, n_vocab)?;
    let out = b.value("logits", n_vocab);
    b.step(Step::MatMul {
        x: hidden,
        weight,
        bias,
        out,
    });
    Ok(out)
}

fn norm(
    b: &mut Builder<'_>,
    x: ValueId,
    tensor: &str,
    run: usize,
    out: ValueId,
    eps: f32,
) -> Result<(), ModelError> {
    let weight = b.weight(tensor, &[run])?;
    b.step(Step::RmsNorm {
        x,
        weight,
        out,
        eps,
    });
    Ok(())
}

/// The product with `NAME.weight` of shape [inputs, outputs], plus `NAME.bias`.
fn linear(
    b: &mut Builder<'_>,
    x: ValueId,
    name: &str,
    presence: Presence,
    shape: [usize; 2],
    out: ValueId,
) -> Result<(), ModelError> {
    let weight = b.weight(&format!("{name}.weight"), &shape)?;
    let bias = bias(b, name, presence, shape[1])?;
    b.step(Step::MatMul {
        x,
        weight,
        bias,
        out,
    });
    Ok(())
}

fn bias(
    b: &mut Builder<'_>,
    name: &str,
    presence: Presence,
    width: usize,
) -> Result<Option<WeightId>, ModelError> {
    let tensor = format!("{name}.bias");
    match presence {
        Presence::Never => Ok(None),
        Presence::Optional => b.optional(&tensor, &[width]),
        Presence::Required => b.weight(&tensor, &[width]).map(Some),
    }
}

/// Number of token ids: the tokenizer's tokens; in a file without them the stated size, or the embedding's rows.
pub(crate) fn n_vocab(keys: &Keys<'_>) -> Result<usize, ModelError> {
    if let Some(Value::Array(tokens)) = keys.file.metadata().get("tokenizer.ggml.tokens")
        && !tokens.is_empty()
    {
        return Ok(tokens.len());
    }
    if let Some(stated) = keys.size("vocab_size", 1..=u64::from(u32::MAX))? {
        return Ok(stated);
    }
    let rows = keys
        .file
        .tensor("token_embd.weight")
        .map_or(0, |table| table.rows());
    usize::try_from(rows)
        .map_err(|_| keys.invalid("vocab_size", rows, "a size that fits in memory"))
}

fn attention_scale(keys: &Keys<'_>, head_dim: usize) -> Result<f32, ModelError> {
    let expected = "a number above 0, or 0 for 1/sqrt(head size)";
    let stated = keys.number("attention.scale", 0.0, |scale| scale >= 0.0, expected)?;
    Ok(if stated == 0.0 {
        (1.0 / (head_dim as f64).sqrt()) as f32
    } else {
        stated
    })
}

fn window(
    keys: &Keys<'_>,
    hparams: &Hparams,
    traits: &Traits,
) -> Result<Option<usize>, ModelError> {
    let suffix = "attention.sliding_window";
    match keys.size(suffix, 0..=u64::from(u32::MAX))? {
        None | Some(0) => Ok(None),
        Some(window) if traits.window_everywhere => Ok(Some(window)),
        Some(window) if window >= hparams.context_length => Ok(None),
        Some(window) => Err(ModelError::UnsupportedKey {
            file: keys.file_name(),
            key: keys.key(suffix),
            found: window.to_string(),
            needs: "which layers it is for is not stated, and sliding windows are not supported \
                    for this architecture",
        }),
    }
}
