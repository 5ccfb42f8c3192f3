//! Compiled pipelines on disk: one file per kind of device, with a check sum.

use std::io;
use std::path::{Path, PathBuf};

/// First bytes of the file; a new layout of it gets new ones.
const MAGIC: &[u8; 8] = b"turbopc1";

/// The directory for caches of this user: `TURBO_CACHE_DIR`, or `turbo-wgpu` in the system's cache folder.
pub fn default_cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("TURBO_CACHE_DIR").or_else(|| {
        let base = if cfg!(windows) {
            set("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            set("HOME").map(|home| home.join("Library/Caches"))
        } else {
            set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))
        };
        base.map(|base| base.join("turbo-wgpu"))
    })
}

/// The file for a device; `None` where wgpu has no cache for its API.
pub(crate) fn file(dir: &Path, info: &wgpu::AdapterInfo) -> Option<PathBuf> {
    wgpu::util::pipeline_cache_key(info).map(|key| dir.join(key))
}

/// FNV-1a, 64 bits: against files cut short or damaged, not against attackers.
fn check_sum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, data) = rest.split_first_chunk::<8>()?;
    (magic == MAGIC && u64::from_le_bytes(*sum) == check_sum(data)).then(|| data.to_vec())
}

/// A cache with what `file` holds; empty when it holds nothing usable.
pub(crate) fn load(device: &wgpu::Device, file: &Path) -> wgpu::PipelineCache {
    let data = read(file);
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: data.as_deref(), fallback: true };
    // SAFETY: the bytes are what `PipelineCache::get_data` gave for a device of the same key: `save` writes nothing
    // else, atomically, and a file whose check sum does not fit is not used.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// Replaces `file` by `data`, atomically.
pub(crate) fn save(file: &Path, data: &[u8]) -> io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let part = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&part, [MAGIC.as_slice(), &check_sum(data).to_le_bytes(), data].concat())?;
    std::fs::rename(&part, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_not_used() {
        let dir = std::env::temp_dir().join(format!("turbo-gpu-disk-{}", std::process::id()));
        let file = dir.join("cache");
        save(&file, b"pipelines").unwrap();
        assert_eq!(read(&file).as_deref(), Some(b"pipelines".as_slice()));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.pop();
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(read(&file), None);
        std::fs::write(&file, b"short").unwrap();
        assert_eq!(read(&file), None);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(read(&file), None);
    }
}
