//! The WGSL files of a source tree.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::CheckError;

/// The text of every WGSL file, by its path inside `wgsl/` (`kernels/kv/rotate.wgsl`), and of `variants.toml`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// WGSL files.
    pub files: BTreeMap<String, String>,
    /// The table of variants.
    pub variants: String,
}

impl Sources {
    /// Reads `kernels/`, `shared/` and `variants.toml` below `root`.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub fn read(root: &Path) -> Result<Self, CheckError> {
        let mut sources = Self { variants: read(&root.join("variants.toml"))?, ..Self::default() };
        for folder in ["kernels", "shared"] {
            sources.read_folder(&root.join(folder), folder)?;
        }
        Ok(sources)
    }

    fn read_folder(&mut self, folder: &Path, name: &str) -> Result<(), CheckError> {
        let io = |e: std::io::Error| CheckError::Io { path: folder.display().to_string(), reason: e.to_string() };
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if path.is_dir() {
                self.read_folder(&path, &name)?;
            } else if path.extension().is_some_and(|e| e == "wgsl") {
                self.files.insert(name, read(&path)?);
            }
        }
        Ok(())
    }

    /// Path inside `wgsl/` of a kernel's source.
    pub fn kernel_path(family: &str, name: &str) -> String {
        format!("kernels/{family}/{name}.wgsl")
    }
}

fn read(path: &Path) -> Result<String, CheckError> {
    std::fs::read_to_string(path)
        .map_err(|e| CheckError::Io { path: path.display().to_string(), reason: e.to_string() })
}
