//! What a check can find wrong.

use std::fmt;

/// Which check refused a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The WGSL parser.
    Parse,
    /// naga's validator with the declared features.
    Validate,
    /// Setting the override constants.
    Overrides,
    /// Translation for Vulkan.
    SpirV,
    /// Translation for Metal.
    Metal,
    /// Translation for DX12.
    Dx12,
    /// Translation for GL.
    Gl,
    /// The declared limits.
    Limits,
    /// The rules of the exactness class.
    Exactness,
    /// The conventions of a kernel: entry point, bindings, params.
    Interface,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parse => "parse",
            Self::Validate => "validation",
            Self::Overrides => "override constants",
            Self::SpirV => "translation to SPIR-V (Vulkan)",
            Self::Metal => "translation to MSL (Metal)",
            Self::Dx12 => "translation to HLSL (DX12)",
            Self::Gl => "translation to GLSL (GL)",
            Self::Limits => "limits",
            Self::Exactness => "exactness",
            Self::Interface => "interface",
        })
    }
}

/// One thing that is wrong with a source, a variant or the table of variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A preprocessor directive is wrong.
    #[error("{file}:{line}: {message}")]
    Directive {
        /// The file, from the workspace root.
        file: String,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong and what was expected.
        message: String,
    },
    /// `variants.toml` is wrong or does not fit the files.
    #[error("wgsl/variants.toml: {0}")]
    Table(String),
    /// A variant was refused.
    #[error("{file}:{line}: {label}: {stage}: {message}")]
    Variant {
        /// The file, from the workspace root.
        file: String,
        /// Line in it, from 1.
        line: usize,
        /// `family/kernel[variant]`.
        label: String,
        /// What refused it.
        stage: Stage,
        /// Why.
        message: String,
    },
}

/// Everything that was found wrong, one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(pub Vec<CheckError>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failures {}

impl From<CheckError> for Failures {
    fn from(error: CheckError) -> Self {
        Self(vec![error])
    }
}
