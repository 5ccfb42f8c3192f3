//! A device that is lost in the middle of the work: every generation ends, later ones are refused, nothing hangs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use turbo_backend::plan::Plan;
use turbo_backend::{BackendError, BatchItem, Engine, PoolId};
use turbo_gguf::{GgmlType, GgufFile};
use turbo_runtime::{
    Backend, Context, ContextOptions, DeviceInfo, Event, GenerateRequest, KvPoolSpec, Model, Runtime, RuntimeError,
    SamplingParams,
};
use turbo_testkit::workspace;

const LOST: &str = "Fake GPU was lost: it fell off the bus; start the program again to use it again";

/// A device that works for so many batches.
struct Fragile {
    batches: usize,
    /// Panics instead of saying that it is lost.
    panics: bool,
}

struct FragileEngine {
    plan: Arc<Plan>,
    left: AtomicUsize,
    panics: bool,
}

fn info() -> DeviceInfo {
    DeviceInfo { name: "Fake GPU".into(), description: String::new(), memory_bytes: None }
}

impl Backend for Fragile {
    fn info(&self) -> DeviceInfo {
        info()
    }

    fn supports_weight(&self, _: GgmlType) -> bool {
        true
    }

    fn load(
        &self,
        plan: Arc<Plan>,
        _: Arc<GgufFile>,
        _: &mut dyn FnMut(u64, u64),
    ) -> Result<Box<dyn Engine>, BackendError> {
        Ok(Box::new(FragileEngine { plan, left: AtomicUsize::new(self.batches), panics: self.panics }))
    }
}

impl Engine for FragileEngine {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn device(&self) -> DeviceInfo {
        info()
    }

    fn max_batch_tokens(&self) -> usize {
        512
    }

    fn max_logits(&self) -> usize {
        512
    }

    fn create_pool(&mut self, _: &KvPoolSpec) -> Result<PoolId, BackendError> {
        Ok(PoolId(0))
    }

    fn free_pool(&mut self, _: PoolId) {}

    fn forward(&mut self, items: &[BatchItem<'_>], logits: &mut Vec<f32>) -> Result<(), BackendError> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            assert!(!self.panics, "a bug");
            return Err(BackendError::DeviceLost { device: "Fake GPU".into(), reason: "it fell off the bus".into() });
        }
        self.left.store(left - 1, Ordering::Relaxed);
        logits.clear();
        for _ in 0..items.iter().map(BatchItem::n_logits).sum() {
            let at = logits.len();
            logits.resize(at + self.plan.n_vocab, 0.0);
            logits[at + 300] = 9.0;
        }
        Ok(())
    }
}

fn runtime(device: &Fragile) -> Runtime {
    let path = workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    let model = Arc::new(Model::open(&path).expect("the built-in model opens"));
    let options = ContextOptions { tokens: Some(512), ..ContextOptions::default() };
    let context = Context::new(model, device, options, &mut |_, _| {}).expect("it loads");
    Runtime::start(context).expect("a thread")
}

fn request(runtime: &Runtime) -> Result<mpsc::Receiver<Event>, RuntimeError> {
    let (sender, events) = mpsc::channel();
    let request = GenerateRequest {
        prompt: vec![5, 6, 7],
        ignore_eos: true,
        sampling: SamplingParams::greedy(),
        ..GenerateRequest::default()
    };
    runtime.generate(request, Box::new(move |event| sender.send(event).is_ok()))?;
    Ok(events)
}

/// The last event.
fn end(events: &mpsc::Receiver<Event>) -> Event {
    let next = || events.recv_timeout(Duration::from_secs(60)).expect("an end within a minute");
    loop {
        match next() {
            Event::Started { .. } | Event::Token { .. } => {}
            event => return event,
        }
    }
}

#[test]
fn every_generation_ends_with_the_reason_and_later_ones_are_refused() {
    let runtime = runtime(&Fragile { batches: 20, panics: false });
    let (sender, told) = mpsc::channel();
    runtime.on_stop(move |reason| sender.send(reason.to_owned()).expect("the test listens"));
    assert_eq!(runtime.stopped(), None);
    // More than run at a time, so that some wait.
    let all: Vec<_> = (0..40).map_while(|_| request(&runtime).ok()).collect();
    for events in &all {
        assert_eq!(end(events), Event::Failed { message: LOST.into() });
    }
    assert_eq!(told.recv_timeout(Duration::from_secs(60)).expect("it is told"), LOST);
    assert_eq!(runtime.stopped().as_deref(), Some(LOST));
    let refused = request(&runtime).expect_err("it has stopped").to_string();
    assert_eq!(refused, format!("the engine has stopped: {LOST}"));
    let (sender, told) = mpsc::channel();
    runtime.on_stop(move |reason| sender.send(reason.to_owned()).expect("the test listens"));
    assert_eq!(told.try_recv().expect("at once"), LOST);
}

#[test]
fn a_panic_of_the_engine_is_told_too() {
    let runtime = runtime(&Fragile { batches: 3, panics: true });
    let (sender, told) = mpsc::channel();
    runtime.on_stop(move |reason| sender.send(reason.to_owned()).expect("the test listens"));
    let events = request(&runtime).expect("it runs");
    let reason = told.recv_timeout(Duration::from_secs(60)).expect("it is told");
    assert_eq!(reason, "its thread panicked: this is a bug, please report what stands above");
    while events.recv().is_ok() {}
    assert!(matches!(request(&runtime), Err(RuntimeError::Stopped(_))));
}
