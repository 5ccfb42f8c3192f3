//! The pre-norm decoder layer that llama, Mistral and Qwen share, as steps.

use turbo_backend::KvShape;
use turbo_backend::plan::{Activation, AttentionSpec, KeyBias, Plan, RopeStyle, Step, ValueId, WeightId};

use crate::ModelError;
use crate::builder::Builder;
use crate::hparams::{Hparams, LayerSizes, n_vocab};
use crate::keys::Keys;
use crate::{attention_keys, refuse, rope_keys};

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

/// A decoder in the making: what all its layers share.
struct Decoder<'a> {
    b: Builder<'a>,
    hparams: Hparams,
    traits: &'static Traits,
    /// The residual stream.
    x: ValueId,
    /// Input of a layer's products, then the result that is added to `x`.
    hidden: ValueId,
    rope: usize,
    scale: f32,
    window: Option<usize>,
}

/// The plan of a model of this family, for a context of `tokens` (the model's own if `None`).
pub(crate) fn plan(keys: Keys<'_>, traits: &'static Traits, tokens: Option<usize>) -> Result<Plan, ModelError> {
    refuse::check(&keys)?;
    let mut decoder = Decoder::new(&keys, traits, tokens)?;
    let n_vocab = n_vocab(&keys)?.ok_or_else(|| {
        let expected = "the number of token ids, as the file has neither tokens nor an embedding";
        keys.invalid("vocab_size", "missing", expected)
    })?;
    let (x, shape) = (decoder.x, [decoder.hparams.d_model, n_vocab]);
    let table = decoder.b.weight("token_embd.weight", &shape)?;
    let scale = 1.0;
    decoder.b.step(Step::Embed { table, out: x, scale });
    for layer in 0..decoder.hparams.n_layers {
        decoder.b.start_layer();
        decoder.attention(layer)?;
        if layer + 1 == decoder.hparams.n_layers {
            // No later step looks at another token.
            decoder.b.step(Step::SelectLogits { x });
        }
        decoder.feed_forward(layer)?;
    }
    let logits = decoder.logits(table, n_vocab)?;
    decoder.b.finish(logits)
}

impl<'a> Decoder<'a> {
    fn new(keys: &Keys<'a>, traits: &'static Traits, tokens: Option<usize>) -> Result<Self, ModelError> {
        let hparams = Hparams::read(keys)?;
        let mut rope = rope_keys::read(keys, &hparams, traits.rope)?;
        let mut b = Builder::new(*keys, &hparams);
        if traits.rope_divisors {
            let tokens = tokens.unwrap_or(hparams.context_length);
            rope.divisors = rope_keys::divisors(keys, &hparams, &mut b, rope.dims, tokens)?;
        }
        Ok(Self {
            x: b.value("x", hparams.d_model),
            hidden: b.value("hidden", hparams.d_model),
            rope: b.rope(rope.table()),
            scale: attention_keys::scale(keys, hparams.head_dim_k)?,
            window: attention_keys::window(keys, &hparams, traits.window_everywhere)?,
            b,
            hparams,
            traits,
        })
    }

    /// x += output(attention(norm(x))).
    fn attention(&mut self, layer: usize) -> Result<(), ModelError> {
        let Self { x, hidden, scale, window, .. } = *self;
        let LayerSizes { n_heads, .. } = self.hparams.layers[layer];
        let Hparams { d_model, head_dim_v, .. } = self.hparams;
        let norm = format!("blk.{layer}.attn_norm.weight");
        self.norm(x, &norm, d_model, hidden)?;
        let (slot, q) = self.heads(layer)?;
        let out = self.b.value("heads", n_heads * head_dim_v);
        let (soft_cap, sinks) = (None, None);
        let spec = AttentionSpec { n_heads, scale, window, soft_cap, sinks };
        self.b.step(Step::Attention { slot, q, out, spec });
        let (name, shape) = (format!("blk.{layer}.attn_output"), [n_heads * head_dim_v, d_model]);
        self.linear(out, &name, self.traits.other_bias, shape, hidden)?;
        self.b.step(Step::Add { x, y: hidden });
        Ok(())
    }

    /// Projects `hidden` to heads, normalises and rotates them, stores K and V: the slot, and Q.
    fn heads(&mut self, layer: usize) -> Result<(usize, ValueId), ModelError> {
        let Self { hidden, rope, traits, .. } = *self;
        let LayerSizes { n_heads, n_kv_heads, .. } = self.hparams.layers[layer];
        let Hparams { d_model, head_dim_k, head_dim_v, .. } = self.hparams;
        let mut project = |part: &str, width| {
            let out = self.b.value(part, width);
            let name = format!("blk.{layer}.attn_{part}");
            self.linear(hidden, &name, traits.qkv_bias, [d_model, width], out)?;
            Ok::<_, ModelError>(out)
        };
        let q = project("q", n_heads * head_dim_k)?;
        let k = project("k", n_kv_heads * head_dim_k)?;
        let v = project("v", n_kv_heads * head_dim_v)?;
        let key_bias = self.take_key_bias(k, rope);
        for (part, x) in [("q", q), ("k", k)] {
            if traits.qk_norm {
                let norm = format!("blk.{layer}.attn_{part}_norm.weight");
                self.norm(x, &norm, head_dim_k, x)?;
            }
            let head_dim = head_dim_k;
            self.b.step(Step::Rope { x, head_dim, rope });
        }
        let shape = KvShape { n_kv_heads, head_dim_k, head_dim_v };
        let slot = self.b.kv_slot(shape, key_bias);
        self.b.step(Step::KvWrite { slot, k, v });
        Ok((slot, q))
    }

    /// Takes the bias out of the product that makes `k`, to be added to the scores instead; a norm behind the product
    /// would mix it with the rest, so it then stays.
    fn take_key_bias(&mut self, k: ValueId, rope: usize) -> Option<KeyBias> {
        if self.traits.qk_norm {
            return None;
        }
        let bias = self.b.take_bias(k)?;
        Some(KeyBias { weight: bias, rope })
    }

    /// x += down(silu(gate(norm(x))) * up(norm(x))).
    fn feed_forward(&mut self, layer: usize) -> Result<(), ModelError> {
        let Self { x, hidden, .. } = *self;
        let (d_model, d_ff) = (self.hparams.d_model, self.hparams.layers[layer].d_ff);
        let (bias, name) = (self.traits.other_bias, |part| format!("blk.{layer}.ffn_{part}"));
        self.norm(x, &name("norm.weight"), d_model, hidden)?;
        let (gate, up) = (self.b.value("gate", d_ff), self.b.value("up", d_ff));
        self.linear(hidden, &name("gate"), bias, [d_model, d_ff], gate)?;
        self.linear(hidden, &name("up"), bias, [d_model, d_ff], up)?;
        let activation = Activation::Silu;
        self.b.step(Step::GatedAct { gate, up, activation });
        self.linear(gate, &name("down"), bias, [d_ff, d_model], hidden)?;
        self.b.step(Step::Add { x, y: hidden });
        Ok(())
    }

    /// The last norm and the product with the output matrix, which is the embedding where the file has none.
    fn logits(&mut self, table: WeightId, n_vocab: usize) -> Result<ValueId, ModelError> {
        let (x, d_model) = (self.hidden, self.hparams.d_model);
        self.norm(self.x, "output_norm.weight", d_model, x)?;
        let output = self.b.optional("output.weight", &[d_model, n_vocab])?;
        let weight = output.unwrap_or(table);
        let bias = self.bias("output", self.traits.logits_bias, n_vocab)?;
        let out = self.b.value("logits", n_vocab);
        self.b.step(Step::MatMul { x, weight, bias, out });
        Ok(out)
    }

    /// `out` = RMS norm of every run of `run` values of `x`.
    fn norm(&mut self, x: ValueId, tensor: &str, run: usize, out: ValueId) -> Result<(), ModelError> {
        let weight = self.b.weight(tensor, &[run])?;
        let eps = self.hparams.eps;
        self.b.step(Step::RmsNorm { x, weight, out, eps });
        Ok(())
    }

    /// The product with `NAME.weight` of shape [inputs, outputs], plus `NAME.bias`.
    fn linear(
        &mut self,
        x: ValueId,
        name: &str,
        presence: Presence,
        shape: [usize; 2],
        out: ValueId,
    ) -> Result<(), ModelError> {
        let weight = self.b.weight(&format!("{name}.weight"), &shape)?;
        let bias = self.bias(name, presence, shape[1])?;
        self.b.step(Step::MatMul { x, weight, bias, out });
        Ok(())
    }

    /// `NAME.bias`, where the architecture and the file have it.
    fn bias(&mut self, name: &str, presence: Presence, width: usize) -> Result<Option<WeightId>, ModelError> {
        let tensor = format!("{name}.bias");
        match presence {
            Presence::Never => Ok(None),
            Presence::Optional => self.b.optional(&tensor, &[width]),
            Presence::Required => self.b.weight(&tensor, &[width]).map(Some),
        }
    }
}
