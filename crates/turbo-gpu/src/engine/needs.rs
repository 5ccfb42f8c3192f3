//! What a model would take on a device, before it takes it: everything is made as for real, and only counted.

use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{BLOCK_TOKENS, BackendError, BatchItem, Engine, KvPoolSpec, LogitsFor, MemoryNeeds};
use turbo_gguf::GgufFile;

use super::batch::{Batch, Most};
use super::{GpuEngine, backend_error};
use crate::gpu::Gpu;
use crate::tally::{Kind, Tally, measuring};

/// Most blocks of a sequence that are thought through; tables of positions get no larger than for these.
const MOST_BLOCKS: usize = 1 << 14;

/// Bytes of the weights of `plan`, and of what a batch works in at the end of a context that fills a cache like `kv`.
///
/// # Errors
/// A weight that is missing or has no kernel, a buffer larger than the device can have.
pub(super) fn memory_needs(
    gpu: &Arc<Gpu>,
    plan: &Plan,
    file: &GgufFile,
    kv: &KvPoolSpec,
) -> Result<MemoryNeeds, BackendError> {
    let tally = Arc::new(Tally::default());
    measuring(&tally, || {
        let mut engine = GpuEngine::allocate(Arc::clone(gpu), Arc::new(plan.clone()), file)?;
        let pool = engine.create_pool(kv)?;
        let blocks: Vec<u32> = (0..kv.n_blocks.min(MOST_BLOCKS) as u32).collect();
        let context = blocks.len() * BLOCK_TOKENS;
        let most = engine.max_batch_tokens();
        for n in [1, most.min(context)] {
            let tokens = vec![0; n];
            let start = context - n;
            let item = BatchItem { pool, blocks: &blocks, start, tokens: &tokens, logits: LogitsFor::Last };
            let batch = Batch::new(&[item], Most { tokens: most, rows: 1 }, |_| Ok(()))?;
            engine.prepare(&batch).map_err(|error| backend_error(gpu, error))?;
        }
        Ok(MemoryNeeds { weights: tally.of(Kind::Weights), mapped: 0, working: tally.of(Kind::Working) })
    })
}
