//! A plan as text, one line per step.

use std::fmt::{self, Display};

use crate::kv::KvShape;
use crate::plan::{Activation, AttentionSpec, Plan, RopeStyle, Step, ValueId, WeightId};

/// Header, cache slots (equal neighbours together), rotary embeddings, then the steps layer by layer.
impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { architecture, n_layers, d_model, n_vocab, context_length, .. } = self;
        writeln!(
            f,
            "{architecture}: {n_layers} layers, width {d_model}, {n_vocab} token ids, context {context_length}"
        )?;
        self.fmt_kv(f)?;
        for (i, rope) in self.ropes.iter().enumerate() {
            let style = rope.style.name();
            let pairs = rope.inv_freq.len();
            writeln!(f, "rope {i}: {style}, {pairs} pairs, magnitude {}", rope.magnitude)?;
        }
        let mut starts = self.layer_starts.iter().enumerate().peekable();
        for (at, step) in self.steps.iter().enumerate() {
            while let Some((layer, _)) = starts.next_if(|&(_, &start)| start <= at) {
                writeln!(f, "layer {layer}")?;
            }
            write!(f, "  ")?;
            self.fmt_step(step, f)?;
            writeln!(f)?;
        }
        writeln!(f, "result {}", self.shown(self.logits))
    }
}

impl RopeStyle {
    /// Its name in texts: `neox` or `interleaved`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neox => "neox",
            Self::Interleaved => "interleaved",
        }
    }
}

impl Activation {
    /// Its name in texts: `silu` or `gelu_tanh`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_tanh",
        }
    }
}

impl Plan {
    fn fmt_kv(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = 0;
        for run in self.kv.chunk_by(|a, b| a == b) {
            let last = first + run.len() - 1;
            let KvShape { n_kv_heads, head_dim_k, head_dim_v } = run[0];
            writeln!(f, "kv slots {first} to {last}: {n_kv_heads} heads of {head_dim_k} (K) and {head_dim_v} (V)")?;
            first = last + 1;
        }
        for (slot, bias) in self.key_bias.iter().enumerate() {
            if let Some(bias) = bias {
                writeln!(f, "kv slot {slot}: keys without {}, rope {}", self.shown_weight(bias.weight), bias.rope)?;
            }
        }
        Ok(())
    }

    fn fmt_step(&self, step: &Step, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |id| self.shown(id);
        let weight = |id| self.shown_weight(id);
        match *step {
            Step::Embed { table, out, scale } => {
                write!(f, "embed {} = {} * {scale}", value(out), weight(table))
            }
            Step::RmsNorm { x, weight: w, out, eps } => {
                write!(f, "rms_norm {} = {} by {}, eps {eps}", value(out), value(x), weight(w))
            }
            Step::MatMul { x, weight: w, bias, out } => {
                write!(f, "mat_mul {} = {} * {}", value(out), weight(w), value(x))?;
                bias.map_or(Ok(()), |bias| write!(f, " + {}", weight(bias)))
            }
            Step::Rope { x, head_dim, rope } => {
                write!(f, "rope {} in heads of {head_dim}, rope {rope}", value(x))
            }
            Step::KvWrite { slot, k, v } => {
                write!(f, "kv_write slot {slot} = {}, {}", value(k), value(v))
            }
            Step::Attention { slot, q, out, ref spec } => {
                write!(f, "attention {} = {} over slot {slot}", value(out), value(q))?;
                self.fmt_spec(spec, f)
            }
            Step::GatedAct { gate, up, activation } => {
                let (gate, name) = (value(gate), activation.name());
                write!(f, "gated_act {gate} = {name}({gate}) * {}", value(up))
            }
            Step::Add { x, y } => write!(f, "add {} += {}", value(x), value(y)),
            Step::Scale { x, factor } => write!(f, "scale {} *= {factor}", value(x)),
            Step::SoftCap { x, cap } => write!(f, "soft_cap {} at {cap}", value(x)),
            Step::SelectLogits { x } => write!(f, "select_logits {}", value(x)),
        }
    }

    fn fmt_spec(&self, spec: &AttentionSpec, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", {} heads, scale {}", spec.n_heads, spec.scale)?;
        if let Some(window) = spec.window {
            write!(f, ", window {window}")?;
        }
        if let Some(cap) = spec.soft_cap {
            write!(f, ", soft cap {cap}")?;
        }
        spec.sinks.map_or(Ok(()), |sinks| write!(f, ", sinks {}", self.shown_weight(sinks)))
    }

    fn shown(&self, id: ValueId) -> String {
        self.values
            .get(id.0 as usize)
            .map_or_else(|| format!("value {} (missing)", id.0), |value| format!("{}[{}]", value.name, value.width))
    }

    fn shown_weight(&self, id: WeightId) -> String {
        self.weights.get(id.0 as usize).map_or_else(
            || format!("weight {} (missing)", id.0),
            |weight| format!("{}[{}x{}]", weight.tensor, weight.rows, weight.cols),
        )
    }
}
