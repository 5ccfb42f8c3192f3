//! What a file says about its model, for people.

use std::collections::BTreeMap;

use turbo_gguf::{GgufFile, PerLayer};

use crate::file_type::file_type_name;
use crate::hparams::{Hparams, n_vocab};
use crate::keys::Keys;
use crate::{ModelError, arch, rope_keys};

/// Facts about a model, read from metadata and the tensor table. What the file does not state is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// `general.architecture`.
    pub architecture: String,
    /// Whether [`crate::build_plan`] knows the architecture.
    pub supported: bool,
    /// `general.name`.
    pub name: Option<String>,
    /// `general.size_label`, such as `8B`.
    pub size_label: Option<String>,
    /// Name of `general.file_type`, such as `Q4_K_M`; `type 99` where the number has no name here.
    pub file_type: Option<String>,
    /// Values of all tensors together.
    pub parameters: u64,
    /// Bytes of the file, all parts together.
    pub file_bytes: u64,
    /// Number of layers.
    pub n_layers: Option<u64>,
    /// Width of the residual stream.
    pub d_model: Option<u64>,
    /// Query heads.
    pub n_heads: Option<PerLayer<u64>>,
    /// K/V heads; as many as query heads where the file does not say.
    pub n_kv_heads: Option<PerLayer<u64>>,
    /// Values of a K head.
    pub head_dim_k: Option<u64>,
    /// Values of a V head.
    pub head_dim_v: Option<u64>,
    /// Width of the feed-forward part.
    pub d_ff: Option<PerLayer<u64>>,
    /// Context trained for, in tokens.
    pub context_length: Option<u64>,
    /// Number of token ids.
    pub n_vocab: Option<u64>,
    /// Number of experts, if any.
    pub n_experts: Option<u64>,
    /// The rotary embedding in words, for supported architectures.
    pub rope: Option<String>,
    /// Tensors by type, most bytes first.
    pub tensor_types: Vec<TensorTypes>,
}

/// The tensors of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorTypes {
    /// Name as ggml prints it; `type 999` for an unknown one.
    pub name: String,
    /// Number of tensors.
    pub tensors: u64,
    /// Number of values.
    pub values: u64,
    /// Number of bytes; 0 for an unknown type.
    pub bytes: u64,
}

/// Reads what a file says about its model; unlike a plan, of any architecture.
///
/// # Errors
/// No architecture, a key of a wrong type, or (in a supported architecture) sizes that cannot be.
pub fn describe(file: &GgufFile) -> Result<ModelInfo, ModelError> {
    let keys = Keys::new(file)?;
    let metadata = file.metadata();
    let text = |key: &str| Ok::<_, ModelError>(metadata.get_str(key)?.map(str::to_owned));
    let number = |suffix: &str| metadata.get_u64(&keys.key(suffix));
    let each = |suffix: &str| metadata.get_u64_or_array(&keys.key(suffix));
    let (d_model, n_heads) = (number("embedding_length")?, each("attention.head_count")?);
    let split = n_heads.as_ref().and_then(|n| n.at(0)).and_then(|n| d_model?.checked_div(n));
    Ok(ModelInfo {
        architecture: keys.architecture.to_owned(),
        supported: arch::NAMES.contains(&keys.architecture),
        name: text("general.name")?,
        size_label: text("general.size_label")?,
        file_type: metadata.get_u64("general.file_type")?.map(file_type_name),
        parameters: file.tensors().iter().fold(0, |sum, t| t.elements().saturating_add(sum)),
        file_bytes: file.file_bytes(),
        n_layers: number("block_count")?,
        d_model,
        n_kv_heads: each("attention.head_count_kv")?.or_else(|| n_heads.clone()),
        n_heads,
        head_dim_k: number("attention.key_length")?.or(split),
        head_dim_v: number("attention.value_length")?.or(split),
        d_ff: each("feed_forward_length")?,
        context_length: number("context_length")?,
        n_vocab: n_vocab(&keys)?.map(|n| n as u64),
        n_experts: number("expert_count")?.filter(|&n| n > 0),
        rope: rope(&keys)?,
        tensor_types: tensor_types(file),
    })
}

fn rope(keys: &Keys<'_>) -> Result<Option<String>, ModelError> {
    let Some(style) = arch::rope_style(keys.architecture) else {
        return Ok(None);
    };
    let hparams = Hparams::read(keys)?;
    let mut text = rope_keys::read(keys, &hparams, style)?.describe(hparams.head_dim_k);
    if keys.file.tensor("rope_freqs.weight").is_some() {
        text += ", a factor per frequency";
    } else if keys.file.tensor("rope_factors_long.weight").is_some() {
        text += ", longrope factors";
    }
    Ok(Some(text))
}

fn tensor_types(file: &GgufFile) -> Vec<TensorTypes> {
    let mut by_id = BTreeMap::new();
    for tensor in file.tensors() {
        let entry = by_id.entry(tensor.type_id).or_insert_with(|| TensorTypes {
            name: tensor.ggml_type().map_or_else(|| format!("type {}", tensor.type_id), |ty| ty.name().to_owned()),
            tensors: 0,
            values: 0,
            bytes: 0,
        });
        entry.tensors += 1;
        entry.values = entry.values.saturating_add(tensor.elements());
        entry.bytes = entry.bytes.saturating_add(tensor.bytes().unwrap_or(0));
    }
    let mut types: Vec<_> = by_id.into_values().collect();
    types.sort_by_key(|ty| std::cmp::Reverse(ty.bytes));
    types
}
