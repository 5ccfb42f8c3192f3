use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{BackendError, DeviceInfo, Engine};
use turbo_gguf::{GgmlType, GgufFile};
use turbo_testkit::workspace;

use super::*;

/// A device with so much free memory, where a token of context takes some working memory too.
struct Device {
    free: Option<u64>,
    weights: u64,
    mapped: u64,
}

impl Backend for Device {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { name: "Small GPU".into(), description: String::new(), memory_bytes: self.free }
    }

    fn supports_weight(&self, _: GgmlType) -> bool {
        true
    }

    fn memory_needs(&self, _: &Plan, _: &GgufFile, kv: &KvPoolSpec) -> Result<Option<MemoryNeeds>, BackendError> {
        let working = (1 << 20) + kv.n_blocks as u64;
        Ok(Some(MemoryNeeds { weights: self.weights, mapped: self.mapped, working }))
    }

    fn load(
        &self,
        _: Arc<Plan>,
        _: Arc<GgufFile>,
        _: &mut dyn FnMut(u64, u64),
    ) -> Result<Box<dyn Engine>, BackendError> {
        Err(BackendError::InvalidBatch("nothing is loaded here".into()))
    }
}

fn model() -> Model {
    Model::open(&workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf")).expect("the built-in model opens")
}

const F16: KvTypes = KvTypes { k: KvType::F16, v: KvType::F16 };

/// Of the built-in model: 8 slots of 2 heads of 128, K and V, 64 tokens in f16.
const BLOCK: u64 = 64 * 8 * 2 * 2 * 128 * 2;

#[test]
fn the_models_own_context_is_taken_where_it_fits_or_nothing_is_known() {
    let model = model();
    let own = model.plan.context_length;
    for free in [None, Some(1 << 40)] {
        let device = Device { free, weights: 20 << 20, mapped: 0 };
        let decision = decide(&model, &device, F16, None).expect("there is room");
        assert_eq!((decision.tokens, decision.cut), (own, false));
        assert_eq!(decide(&model, &device, F16, Some(100)).expect("there is room").tokens, 100);
    }
}

#[test]
fn the_largest_context_that_fits_is_found() {
    let model = model();
    let device = |free, mapped| Device { free: Some(free), weights: 20 << 20, mapped };
    let room = (21 << 20) + 10 * (BLOCK + 1);
    // A sixteenth stays free.
    let decision = decide(&model, &device(room * 16 / 15 + 16, 0), F16, None).expect("ten blocks fit");
    assert_eq!((decision.tokens, decision.cut, decision.spec.n_blocks), (640, true, 10));
    // What is read from the mapped file wants to stay in memory too, unless a context was asked for.
    let mapped = device(room * 16 / 15 + 16, 4 * BLOCK);
    assert_eq!(decide(&model, &mapped, F16, None).expect("six blocks fit").tokens, 384);
    assert_eq!(decide(&model, &device(room, 1 << 40), F16, Some(640)).expect("it was asked for").tokens, 640);
}

#[test]
fn what_does_not_fit_is_refused_with_a_table() {
    let model = model();
    let room = (21 << 20) + 10 * (BLOCK + 1);
    let device = Device { free: Some(room), weights: 20 << 20, mapped: 0 };
    let message = decide(&model, &device, F16, Some(64 * 100)).expect_err("ten blocks fit").to_string();
    assert_eq!(
        message,
        "tiny-qwen3-34m.q4_k_m with a context of 6400 tokens does not fit in the memory of Small GPU:
  weights                    20.0 MiB
  KV cache f16/f16           50.0 MiB
  working memory              1.0 MiB
  total                      71.0 MiB
  free                       26.0 MiB
the largest context that fits is 640 tokens (-c 640); with a smaller KV type (--ctk, --ctv) turbo4: 2432, turbo3: 3264, \
         turbo2: 4800"
    );
    let device = Device { free: Some(1 << 20), weights: 20 << 20, mapped: 0 };
    let message = decide(&model, &device, F16, None).expect_err("not even the weights fit").to_string();
    assert!(message.ends_with("\nno context fits: use a smaller model or another device"), "{message}");
    assert!(decide(&model, &device, F16, Some(usize::MAX)).is_err());
    let message = decide(&model, &device, F16, Some(0)).expect_err("no tokens").to_string();
    assert_eq!(message, "a context of 0 tokens holds nothing: give -c a positive number of tokens");
}
