//! The weights of a plan on the device: matrices repacked, vectors in f32.

use std::sync::Arc;

use turbo_backend::BackendError;
use turbo_backend::plan::{Plan, Step, Weight, WeightId};
use turbo_gguf::{GgmlType, GgufFile, TensorInfo};

use super::backend_error;
use super::fuse::Matrices;
use crate::buffer::Buffer;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::matmul::{are_joinable, are_pair, suits_residual};
use crate::weights::{Layout, Matrix};

/// A weight on the device.
enum Loaded {
    Matrix(Matrix),
    Vector(Buffer<f32>),
}

/// All weights of a plan.
pub(super) struct Weights {
    loaded: Vec<Loaded>,
    gpu: Arc<Gpu>,
}

impl Weights {
    /// Takes memory for the weights of `plan`; vectors are filled from `file`.
    ///
    /// # Errors
    /// A tensor that is missing or has a type without a kernel, too little memory, a failing device.
    pub(super) fn allocate(gpu: &Arc<Gpu>, plan: &Plan, file: &GgufFile) -> Result<Self, BackendError> {
        let tensors = plan.weights.iter().map(|weight| find(gpu, file, weight)).collect::<Result<Vec<_>, _>>()?;
        let one = |(weight, (ty, tensor)): (&Weight, (GgmlType, &TensorInfo))| {
            let loaded = if weight.rows > 1 {
                let shape = (weight.rows, weight.cols);
                Matrix::empty(gpu, &weight.tensor, ty, shape, usize::MAX).map(Loaded::Matrix)
            } else {
                vector(gpu, weight, ty, file.data(tensor)?).map(Loaded::Vector)
            };
            loaded.map_err(|error| backend_error(gpu, error))
        };
        let loaded = plan.weights.iter().zip(tensors).map(one).collect::<Result<_, _>>()?;
        Ok(Self { loaded, gpu: Arc::clone(gpu) })
    }

    /// Fills the matrices from `file`; `progress` is told bytes done and in all.
    ///
    /// # Errors
    /// A failing device.
    pub(super) fn fill(
        &mut self,
        gpu: &Gpu,
        plan: &Plan,
        file: &GgufFile,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), BackendError> {
        let (mut matrices, mut bytes) = (Vec::new(), Vec::new());
        for (loaded, weight) in self.loaded.iter_mut().zip(&plan.weights) {
            if let Loaded::Matrix(matrix) = loaded {
                matrices.push(matrix);
                bytes.push(file.data(find(gpu, file, weight)?.1)?);
            }
        }
        let (mut done, total) = (0, bytes.iter().map(|bytes| bytes.len() as u64).sum());
        let mut advance = |bytes: u64| {
            done += bytes;
            progress(done, total);
        };
        Matrix::fill(gpu, &mut matrices, &bytes, &mut advance).map_err(|error| backend_error(gpu, error))
    }

    /// A weight as a matrix.
    ///
    /// # Errors
    /// The plan uses a vector as a matrix.
    pub(super) fn matrix(&self, gpu: &Gpu, id: WeightId) -> Result<&Matrix, GpuError> {
        match &self.loaded[id.0 as usize] {
            Loaded::Matrix(matrix) => Ok(matrix),
            Loaded::Vector(_) => Err(gpu.call("engine", format!("weight {} is a vector, not a matrix", id.0))),
        }
    }

    /// A weight that is a matrix whose products take codes.
    fn quantised(&self, id: WeightId) -> Option<&Matrix> {
        match &self.loaded[id.0 as usize] {
            Loaded::Matrix(matrix) => Some(matrix).filter(|matrix| matrix.is_quantised()),
            Loaded::Vector(_) => None,
        }
    }

    /// A weight as a vector.
    ///
    /// # Errors
    /// The plan uses a matrix as a vector.
    pub(super) fn vector(&self, gpu: &Gpu, id: WeightId) -> Result<&Buffer<f32>, GpuError> {
        match &self.loaded[id.0 as usize] {
            Loaded::Vector(vector) => Ok(vector),
            Loaded::Matrix(_) => Err(gpu.call("engine", format!("weight {} is a matrix, not a vector", id.0))),
        }
    }

    /// Columns of the widest matrix of a product of those that `counts` is true for.
    pub(super) fn widest(&self, plan: &Plan, counts: impl Fn(&Matrix) -> bool) -> usize {
        let cols = plan.steps.iter().filter_map(|step| match step {
            Step::MatMul { weight, .. } => match &self.loaded[weight.0 as usize] {
                Loaded::Matrix(matrix) if counts(matrix) => Some(matrix.cols()),
                _ => None,
            },
            _ => None,
        });
        cols.max().unwrap_or(0)
    }
}

impl Matrices for Weights {
    fn is_quantised(&self, id: WeightId) -> bool {
        self.quantised(id).is_some()
    }

    fn suits_residual(&self, id: WeightId) -> bool {
        self.quantised(id).is_some_and(|matrix| suits_residual(&self.gpu, matrix))
    }

    fn are_pair(&self, gate: WeightId, up: WeightId) -> bool {
        matches!((self.quantised(gate), self.quantised(up)), (Some(gate), Some(up)) if are_pair(gate, up))
    }

    fn are_joinable(&self, ids: &[WeightId]) -> bool {
        let matrices: Option<Vec<&Matrix>> = ids.iter().map(|&id| self.quantised(id)).collect();
        matrices.is_some_and(|matrices| are_joinable(&matrices))
    }
}

/// The tensor of a weight and its type, if there are kernels for it.
fn find<'a>(gpu: &Gpu, file: &'a GgufFile, weight: &Weight) -> Result<(GgmlType, &'a TensorInfo), BackendError> {
    let Some(tensor) = file.tensor(&weight.tensor) else {
        return Err(BackendError::InvalidBatch(format!("{}: tensor {} is missing", file.path(), weight.tensor)));
    };
    // Vectors become f32 on the host, so any type does for them.
    let known = tensor.ggml_type().filter(|&ty| weight.rows <= 1 || Layout::of(ty).is_some());
    known.map(|ty| (ty, tensor)).ok_or_else(|| BackendError::WeightType {
        device: gpu.name().to_owned(),
        tensor: tensor.name.clone(),
        found: tensor.ggml_type().map_or_else(|| format!("id {}", tensor.type_id), |ty| ty.name().to_owned()),
        supported: Layout::all().map(|layout| layout.ty().name()).collect::<Vec<_>>().join(", "),
    })
}

fn vector(gpu: &Gpu, weight: &Weight, ty: GgmlType, data: &[u8]) -> Result<Buffer<f32>, GpuError> {
    gpu.upload(&weight.tensor, &decoded(gpu, weight, ty, data)?)
}

fn decoded(gpu: &Gpu, weight: &Weight, ty: GgmlType, data: &[u8]) -> Result<Vec<f32>, GpuError> {
    let mut values = vec![0.0; weight.cols];
    turbo_quant::ggml::decode_row(ty, data, &mut values)
        .map_err(|error| gpu.call("engine", format!("{}: {error}", weight.tensor)))?;
    Ok(values)
}

/// The values of a vector, for the host.
///
/// # Errors
/// A tensor that is missing.
pub(super) fn vector_values(gpu: &Gpu, file: &GgufFile, weight: &Weight) -> Result<Vec<f32>, BackendError> {
    let (ty, tensor) = find(gpu, file, weight)?;
    decoded(gpu, weight, ty, file.data(tensor)?).map_err(|error| backend_error(gpu, error))
}

#[cfg(test)]
mod tests {
    use turbo_backend::plan::ValueId;
    use turbo_testkit::GgufBuilder;

    use super::*;
    use crate::gpu::GpuOptions;

    #[test]
    fn a_type_without_a_kernel_is_refused_with_the_tensor() {
        let Some(adapter) = turbo_testkit::gpus_found(crate::usable_adapters()).into_iter().next() else { return };
        let gpu = Arc::new(Gpu::open(&adapter, &GpuOptions::default()).expect("the adapter opens"));
        // 18 is iq3_xxs: 98 bytes for 256 values.
        let file = GgufBuilder::new(3).tensor("blk.0.ffn_up.weight", &[256, 2], 18, &[0; 196]).build();
        let file = GgufFile::from_static("tiny.gguf", file.leak()).expect("a valid file");
        let plan = Plan {
            architecture: "llama".into(),
            n_layers: 1,
            d_model: 256,
            n_vocab: 2,
            context_length: 64,
            values: Vec::new(),
            weights: vec![Weight { tensor: "blk.0.ffn_up.weight".into(), cols: 256, rows: 2 }],
            kv: Vec::new(),
            key_bias: Vec::new(),
            ropes: Vec::new(),
            steps: Vec::new(),
            layer_starts: vec![0],
            logits: ValueId(0),
        };
        let error = Weights::allocate(&gpu, &plan, &file).err().expect("there is no kernel for iq3_xxs");
        let message = error.to_string();
        let start = format!(
            "{}: tensor blk.0.ffn_up.weight has type iq3_xxs, for which there is no kernel: supported are f32, f16, ",
            gpu.name()
        );
        assert!(message.starts_with(&start) && message.contains("q4_K"), "{message}");
    }
}
