//! A model as data: values, weights, cache slots and the steps that connect them.
//!
//! A plan is made by turbo-model from GGUF metadata and run by a backend. Every step works on all tokens of a
//! batch at once; a *value* is an activation of a fixed width per token. Steps after [`Step::SelectLogits`] see
//! only the tokens whose logits are wanted.

use crate::kv::KvShape;

/// Index of an activation in [`Plan::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// Index of a weight in [`Plan::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub u32);

/// An activation: `width` f32 for every token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it holds, for messages and traces.
    pub name: String,
    /// Values per token.
    pub width: usize,
}

/// A tensor of the model file, its shape already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Name in the file.
    pub tensor: String,
    /// Length of a row (ggml's first dimension).
    pub cols: usize,
    /// Number of rows, all further dimensions multiplied; 1 for a vector.
    pub rows: usize,
}

/// How pairs of values are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Pairs (i, i + dims/2), as in GPT-NeoX, Qwen and most Hugging Face models.
    Neox,
    /// Pairs (2i, 2i + 1), as in llama-architecture GGUF files.
    Interleaved,
}

/// Rotary position embedding with every scaling variant already worked into its frequencies.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeTable {
    /// Which values form a pair.
    pub style: RopeStyle,
    /// Angle per position of every pair, in radians; twice as many leading values of a head are rotated,
    /// the rest of the head is left alone.
    pub inv_freq: Vec<f32>,
    /// Factor on sine and cosine (YaRN's attention factor), 1 otherwise.
    pub magnitude: f32,
}

impl RopeTable {
    /// Appends the factors of `positions` to `factors`: per position a cosine for every pair, then as many sines, times the
    /// magnitude. Angles are formed in double precision: at position 100,000 an angle in single precision would be off by
    /// several thousandths.
    pub fn factors(&self, positions: &[u32], factors: &mut Vec<f32>) {
        factors.reserve(positions.len() * 2 * self.inv_freq.len());
        let magnitude = f64::from(self.magnitude);
        for &position in positions {
            let angles = || self.inv_freq.iter().map(|&f| f64::from(position) * f64::from(f));
            factors.extend(angles().map(|a| (a.cos() * magnitude) as f32));
            factors.extend(angles().map(|a| (a.sin() * magnitude) as f32));
        }
    }
}

/// A constant part of every key of a cache slot: the bias of the key projection.
///
/// Key biases can be a hundred times larger than the rest of a key (Qwen2), which would cost the rest its precision in
/// any cache type. So the cache holds keys without it, and attention adds it to the scores: the key at
/// position p is the stored one plus the bias rotated by p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBias {
    /// The bias before rope, `n_kv_heads * head_dim_k` values.
    pub weight: WeightId,
    /// Index in [`Plan::ropes`] of the rotation.
    pub rope: usize,
}

/// Non-linearity of a gated feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + exp(-x)).
    Silu,
    /// The tanh form of GELU.
    GeluTanh,
}

/// Everything attention needs besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Number of query heads, a multiple of the slot's K/V heads.
    pub n_heads: usize,
    /// Factor on q . k before the softmax.
    pub scale: f32,
    /// A query at position p sees keys at positions above p - window; all earlier ones if `None`.
    pub window: Option<usize>,
    /// Scores become cap * tanh(score / cap).
    pub soft_cap: Option<f32>,
    /// One extra logit per query head that takes part in the softmax but has no value.
    pub sinks: Option<WeightId>,
}

/// One operation on all tokens of a batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// `out` = row `token` of `table`, times `scale`.
    Embed {
        /// Token embedding, one row per token id.
        table: WeightId,
        /// Receives the row.
        out: ValueId,
        /// Factor on the row.
        scale: f32,
    },
    /// `out` = x / sqrt(mean(x^2) + eps) * weight over every run of `weight.cols` values of `x`
    /// (the whole width, or head by head). `out` may be `x`.
    RmsNorm {
        /// Input.
        x: ValueId,
        /// One factor per value of a run.
        weight: WeightId,
        /// Output, as wide as `x`.
        out: ValueId,
        /// Added to the mean square.
        eps: f32,
    },
    /// `out` = weight * x (+ bias).
    MatMul {
        /// Input, `weight.cols` wide.
        x: ValueId,
        /// The matrix.
        weight: WeightId,
        /// Added per output value.
        bias: Option<WeightId>,
        /// Output, `weight.rows` wide.
        out: ValueId,
    },
    /// Rotates every head of `x` by its token's position, in place.
    Rope {
        /// Heads after each other.
        x: ValueId,
        /// Values of one head.
        head_dim: usize,
        /// Index in [`Plan::ropes`].
        rope: usize,
    },
    /// Stores the K and V heads of every token in a cache slot at the token's position.
    KvWrite {
        /// Index in [`Plan::kv`].
        slot: usize,
        /// K heads after rope, without the slot's [`KeyBias`].
        k: ValueId,
        /// V heads.
        v: ValueId,
    },
    /// `out` = attention of `q` over a cache slot. Several layers may read one slot (shared KV).
    Attention {
        /// Index in [`Plan::kv`].
        slot: usize,
        /// Query heads after rope.
        q: ValueId,
        /// Output heads, `n_heads * head_dim_v` wide.
        out: ValueId,
        /// Heads, scale, masks.
        spec: AttentionSpec,
    },
    /// `gate` = activation(gate) * up, in place.
    GatedAct {
        /// Input of the activation; receives the result.
        gate: ValueId,
        /// The other factor.
        up: ValueId,
        /// Which function.
        activation: Activation,
    },
    /// `x` += `y`.
    Add {
        /// Receives the sum.
        x: ValueId,
        /// Added.
        y: ValueId,
    },
    /// `x` *= factor.
    Scale {
        /// Scaled in place.
        x: ValueId,
        /// The factor.
        factor: f32,
    },
    /// `x` = cap * tanh(x / cap).
    SoftCap {
        /// Capped in place.
        x: ValueId,
        /// The cap.
        cap: f32,
    },
    /// From here on only the tokens whose logits are wanted are worked on; `x` is reduced to them.
    SelectLogits {
        /// The residual stream.
        x: ValueId,
    },
}

/// A whole model as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `general.architecture` of the file.
    pub architecture: String,
    /// Number of transformer layers.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of token ids, the width of the logits.
    pub n_vocab: usize,
    /// Context length the model was trained for, in tokens.
    pub context_length: usize,
    /// Activations.
    pub values: Vec<Value>,
    /// Tensors.
    pub weights: Vec<Weight>,
    /// KV cache slots.
    pub kv: Vec<KvShape>,
    /// For every cache slot, what attention adds to its keys.
    pub key_bias: Vec<Option<KeyBias>>,
    /// Rotary embeddings.
    pub ropes: Vec<RopeTable>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Where each layer's steps start in `steps`, for traces and error messages.
    pub layer_starts: Vec<usize>,
    /// The value that holds the logits at the end, `n_vocab` wide.
    pub logits: ValueId,
}

impl Plan {
    /// Width per token of a value.
    pub fn width(&self, id: ValueId) -> usize {
        self.values[id.0 as usize].width
    }

    /// A weight by its index.
    pub fn weight(&self, id: WeightId) -> &Weight {
        &self.weights[id.0 as usize]
    }

    /// The layer that the step at this index belongs to, if it is inside one.
    pub fn layer_of(&self, step: usize) -> Option<usize> {
        self.layer_starts.partition_point(|&start| start <= step).checked_sub(1)
    }
}
