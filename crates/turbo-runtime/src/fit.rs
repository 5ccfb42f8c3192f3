//! Whether a model and its context fit in a device's memory, and how large a context would.

use std::fmt;

use turbo_backend::{BLOCK_TOKENS, Backend, BackendError, KvPoolSpec, KvTypes, MemoryNeeds};
use turbo_quant::KvType;

use crate::error::RuntimeError;
use crate::model::Model;

/// What is kept free where the size of the context is ours to choose: a sixteenth of what is free.
const RESERVE: u64 = 16;

/// Types proposed where the one asked for is too large.
const SMALLER: [KvType; 3] = [KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

/// What a model takes on a device at some context size, and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The model.
    pub model: String,
    /// The device.
    pub device: String,
    /// Tokens of context.
    pub context: usize,
    /// Types of the KV cache.
    pub types: KvTypes,
    /// Bytes of weights.
    pub weights: u64,
    /// Bytes of KV cache.
    pub kv: u64,
    /// Bytes of working memory.
    pub working: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Largest context that fits; 0: not even the smallest.
    pub largest: usize,
    /// Smaller types and the largest contexts that would fit with them.
    pub smaller: Vec<(KvType, usize)>,
}

impl Footprint {
    /// Bytes of everything.
    pub const fn total(&self) -> u64 {
        self.weights.saturating_add(self.kv).saturating_add(self.working)
    }
}

/// A refusal: the table and what would do.
impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, device, context, types, largest, .. } = self;
        writeln!(f, "{model} with a context of {context} tokens does not fit in the memory of {device}:")?;
        let kv = format!("KV cache {}/{}", types.k, types.v);
        let rows = [
            ("weights", self.weights),
            (kv.as_str(), self.kv),
            ("working memory", self.working),
            ("total", self.total()),
            ("free", self.free),
        ];
        for (what, bytes) in rows {
            writeln!(f, "  {what:<22} {:>12}", size(bytes))?;
        }
        match largest {
            0 => write!(f, "no context fits: use a smaller model or another device")?,
            n => write!(f, "the largest context that fits is {n} tokens (-c {n})")?,
        }
        for (index, (kv_type, tokens)) in self.smaller.iter().enumerate() {
            let start = if index == 0 { "; with a smaller KV type (--ctk, --ctv) " } else { ", " };
            write!(f, "{start}{kv_type}: {tokens}")?;
        }
        Ok(())
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const GIB: f64 = (1_u64 << 30) as f64;
    match bytes as f64 / GIB {
        gib if gib >= 1.0 => format!("{gib:.2} GiB"),
        gib => format!("{:.1} MiB", gib * 1024.0),
    }
}

/// A decision about the size of a context.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    /// Tokens.
    pub(crate) tokens: usize,
    /// The cache.
    pub(crate) spec: KvPoolSpec,
    /// Whether the model would have more, and that did not fit.
    pub(crate) cut: bool,
}

/// Decides how many tokens the cache of `model` on `backend` holds: `asked`, or else as many as the model was trained
/// for or as fit. Where free memory is unknown, allocation is the check.
///
/// # Errors
/// A context of no tokens; one that does not fit.
pub(crate) fn decide(
    model: &Model,
    backend: &dyn Backend,
    types: KvTypes,
    asked: Option<usize>,
) -> Result<Decision, RuntimeError> {
    if asked == Some(0) {
        return Err(RuntimeError::EmptyContext);
    }
    let spec = |tokens: usize| KvPoolSpec::new(&model.plan.kv, types, tokens);
    let own = model.plan.context_length.max(1);
    let tokens = asked.unwrap_or(own);
    let info = backend.info();
    let Some(free) = info.memory_bytes else { return Ok(Decision { tokens, spec: spec(tokens)?, cut: false }) };
    let fit = Fit { model, backend };
    let (kv, needs, limit) = match fit.at(types, tokens) {
        // A limit of the device, whatever is free.
        Err(error @ RuntimeError::Backend(BackendError::OutOfMemory { .. })) => {
            let (block, needs) = fit.at(types, BLOCK_TOKENS)?;
            (block.saturating_mul(tokens.div_ceil(BLOCK_TOKENS) as u64), needs, Some(error))
        }
        found => found.map(|(kv, needs)| (kv, needs, None))?,
    };
    let room = match asked {
        Some(_) => free,
        None => (free - free / RESERVE).saturating_sub(needs.mapped),
    };
    match limit {
        None if total(kv, needs) <= room => return Ok(Decision { tokens, spec: spec(tokens)?, cut: false }),
        Some(error) if total(kv, needs) <= room && asked.is_some() => return Err(error),
        _ => {}
    }
    let largest = fit.largest(types, room)?;
    if asked.is_none() && largest > 0 {
        let tokens = largest.min(own);
        return Ok(Decision { tokens, spec: spec(tokens)?, cut: tokens < own });
    }
    let mut smaller = Vec::new();
    for kv_type in SMALLER {
        let found = fit.largest(KvTypes { k: kv_type, v: kv_type }, room)?.min(tokens.max(own));
        if found > largest.max(smaller.last().map_or(0, |&(_, tokens)| tokens)) {
            smaller.push((kv_type, found));
        }
    }
    Err(RuntimeError::DoesNotFit(Box::new(Footprint {
        model: model.name.clone(),
        device: info.name,
        context: tokens,
        types,
        weights: needs.weights,
        kv,
        working: needs.working,
        free: room,
        largest,
        smaller,
    })))
}

const fn total(kv: u64, needs: MemoryNeeds) -> u64 {
    kv.saturating_add(needs.weights).saturating_add(needs.working)
}

/// What is asked about.
struct Fit<'a> {
    model: &'a Model,
    backend: &'a dyn Backend,
}

impl Fit<'_> {
    /// Bytes of cache of `tokens` tokens, and of all else.
    fn at(&self, types: KvTypes, tokens: usize) -> Result<(u64, MemoryNeeds), RuntimeError> {
        let spec = KvPoolSpec::new(&self.model.plan.kv, types, tokens)?;
        let block: u64 = spec.layers.iter().map(|layer| layer.block_bytes() as u64).sum();
        let needs = self.backend.memory_needs(&self.model.plan, &self.model.file, &spec)?;
        Ok((block.saturating_mul(spec.n_blocks as u64), needs.unwrap_or_default()))
    }

    /// Most tokens, in whole blocks, with which everything fits in `room` bytes.
    fn largest(&self, types: KvTypes, room: u64) -> Result<usize, RuntimeError> {
        let block = self.at(types, BLOCK_TOKENS)?.0.max(1);
        let (mut fits, mut too_many) = (0, usize::try_from(room / block).unwrap_or(usize::MAX / BLOCK_TOKENS - 1) + 1);
        while fits + 1 < too_many {
            let middle = fits + (too_many - fits) / 2;
            let found = match self.at(types, middle * BLOCK_TOKENS) {
                Ok((kv, needs)) => total(kv, needs) <= room,
                Err(RuntimeError::Backend(BackendError::OutOfMemory { .. })) => false,
                Err(error) => return Err(error),
            };
            if found { fits = middle } else { too_many = middle }
        }
        Ok(fits * BLOCK_TOKENS)
    }
}

#[cfg(test)]
mod tests;
