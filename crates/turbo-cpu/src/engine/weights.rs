//! The weights of a plan: matrices stay in the mapped file, vectors become f32.

use std::sync::Arc;

use turbo_backend::BackendError;
use turbo_backend::plan::{Plan, Weight, WeightId};
use turbo_gguf::{GgmlType, GgufFile, TensorInfo};

use crate::matmul::{self, WeightRef};

/// Where a weight is.
enum Loaded {
    /// A matrix: type and tensor of the file.
    Mapped(GgmlType, TensorInfo),
    /// A vector, or a matrix of one row, in f32.
    Vector(Vec<f32>),
}

/// All weights of a plan.
pub(super) struct Weights {
    file: Arc<GgufFile>,
    shapes: Vec<Weight>,
    loaded: Vec<Loaded>,
}

impl Weights {
    /// Finds the weights of `plan` in `file`.
    ///
    /// # Errors
    /// A tensor that is missing or has a type without a kernel.
    pub(super) fn new(plan: &Plan, file: Arc<GgufFile>) -> Result<Self, BackendError> {
        let loaded = plan.weights.iter().map(|weight| load(&file, weight)).collect::<Result<_, _>>()?;
        Ok(Self { file, shapes: plan.weights.clone(), loaded })
    }

    /// The file's path, for messages.
    pub(super) fn path(&self) -> String {
        self.file.path().to_string()
    }

    /// A weight as a matrix.
    pub(super) fn matrix(&self, id: WeightId) -> Result<WeightRef<'_>, BackendError> {
        let shape = &self.shapes[id.0 as usize];
        let (ty, data) = match &self.loaded[id.0 as usize] {
            Loaded::Mapped(ty, tensor) => (*ty, self.file.data(tensor)?),
            Loaded::Vector(values) => (GgmlType::F32, bytemuck::cast_slice(values)),
        };
        Ok(WeightRef { ty, rows: shape.rows, cols: shape.cols, data })
    }

    /// A weight as a vector.
    ///
    /// # Panics
    /// When the plan uses a matrix as a vector, which its builder does not do.
    pub(super) fn vector(&self, id: WeightId) -> &[f32] {
        match &self.loaded[id.0 as usize] {
            Loaded::Vector(values) => values,
            Loaded::Mapped(..) => panic!("{} is a matrix, not a vector", self.shapes[id.0 as usize].tensor),
        }
    }
}

fn load(file: &GgufFile, weight: &Weight) -> Result<Loaded, BackendError> {
    let Some(tensor) = file.tensor(&weight.tensor) else {
        return Err(BackendError::InvalidBatch(format!("{}: tensor {} is missing", file.path(), weight.tensor)));
    };
    let ty = tensor.ggml_type().filter(|&ty| matmul::supports(ty)).ok_or_else(|| unsupported(tensor))?;
    if weight.rows > 1 {
        return Ok(Loaded::Mapped(ty, tensor.clone()));
    }
    let mut values = vec![0.0; weight.cols];
    turbo_quant::ggml::decode_row(ty, file.data(tensor)?, &mut values).map_err(|_| unsupported(tensor))?;
    Ok(Loaded::Vector(values))
}

fn unsupported(tensor: &TensorInfo) -> BackendError {
    let names = GgmlType::ALL.iter().filter(|&&ty| matmul::supports(ty)).map(|ty| ty.name());
    BackendError::WeightType {
        device: "cpu".into(),
        tensor: tensor.name.clone(),
        found: tensor.ggml_type().map_or_else(|| format!("id {}", tensor.type_id), |ty| ty.name().to_owned()),
        supported: names.collect::<Vec<_>>().join(", "),
    }
}
