//! A handle to the engine thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use turbo_backend::{DeviceInfo, KvTypes};
use turbo_text::{ChatTemplate, Tokenizer};

use crate::context::Context;
use crate::error::RuntimeError;
use crate::model::Model;
use crate::request::{EventSink, GenerateRequest, RequestId};
use crate::scheduler::{Command, Scheduler};
use crate::status::{PanicGuard, Status};

/// Generations that run at the same time at most; more wait in line.
const MAX_RUNNING: usize = 32;

/// Hands generations to an engine thread. Cheap to clone; the thread ends when the last handle is gone and the
/// last generation is finished.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

struct Shared {
    model: Arc<Model>,
    device: DeviceInfo,
    types: KvTypes,
    context_tokens: usize,
    commands: Option<Sender<Command>>,
    next_id: AtomicU64,
    thread: Option<JoinHandle<()>>,
    status: Arc<Status>,
}

impl Runtime {
    /// Starts the engine thread on a context.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(context: Context) -> Result<Self, RuntimeError> {
        let (commands, receiver) = channel();
        let model = Arc::clone(context.model());
        let (device, types, context_tokens) = (context.device(), context.types(), context.tokens());
        let status = Arc::new(Status::default());
        let scheduler = Scheduler::new(context, receiver, MAX_RUNNING, Arc::clone(&status));
        let seen = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name("turbo-engine".into())
            .spawn(move || {
                let _guard = PanicGuard(&seen);
                scheduler.run();
            })
            .map_err(|error| RuntimeError::Stopped(error.to_string()))?;
        let shared = Shared {
            model,
            device,
            types,
            context_tokens,
            commands: Some(commands),
            next_id: AtomicU64::new(1),
            thread: Some(thread),
            status,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Name of the model.
    pub fn model_name(&self) -> &str {
        &self.shared.model.name
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.shared.model
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.shared.model.tokenizer
    }

    /// Its chat template.
    pub fn chat_template(&self) -> &Arc<ChatTemplate> {
        &self.shared.model.template
    }

    /// The device it runs on.
    pub fn device(&self) -> &DeviceInfo {
        &self.shared.device
    }

    /// Types of the KV cache.
    pub fn kv_types(&self) -> KvTypes {
        self.shared.types
    }

    /// Most tokens of one generation, prompt and answer together.
    pub fn context_tokens(&self) -> usize {
        self.shared.context_tokens
    }

    /// Queues a generation. Its events go to `sink` on the engine's thread, which must not block; returning
    /// `false` from it cancels the generation.
    ///
    /// # Errors
    /// An empty prompt, one that leaves no room for an answer, an unknown token, a parameter out of range, an
    /// engine that has stopped.
    pub fn generate(&self, request: GenerateRequest, sink: EventSink) -> Result<RequestId, RuntimeError> {
        if let Some(reason) = self.stopped() {
            return Err(RuntimeError::Stopped(reason));
        }
        if request.prompt.is_empty() {
            return Err(RuntimeError::EmptyPrompt);
        }
        if request.prompt.len() >= self.shared.context_tokens {
            return Err(RuntimeError::PromptTooLong {
                prompt: request.prompt.len(),
                context: self.shared.context_tokens,
            });
        }
        self.shared.model.check_tokens(&request.prompt)?;
        request.sampling.check()?;
        let id = RequestId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        self.send(Command::Generate(id, request, sink))?;
        Ok(id)
    }

    /// Ends a generation early; its last event is `Finished` with `Cancelled`. One that has ended is left alone.
    pub fn cancel(&self, id: RequestId) {
        // An engine that has stopped has no generation to cancel.
        let _ = self.send(Command::Cancel(id));
    }

    /// Why the engine has stopped, if it has: its device was lost, or its thread panicked. Nothing brings it back.
    pub fn stopped(&self) -> Option<String> {
        self.shared.status.stopped()
    }

    /// Calls `listener` with the reason when the engine stops, at once if it has; on the engine's thread, which must not
    /// be kept waiting.
    pub fn on_stop(&self, listener: impl FnOnce(&str) + Send + 'static) {
        self.shared.status.on_stop(Box::new(listener));
    }

    fn send(&self, command: Command) -> Result<(), RuntimeError> {
        let gone = || RuntimeError::Stopped("its thread has ended".into());
        let commands = self.shared.commands.as_ref().ok_or_else(gone)?;
        commands.send(command).map_err(|_| gone())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.commands.take());
        // The last handle may be dropped on the engine's own thread, inside a sink.
        // The thread of a lost device is left alone: the driver may never let go of it.
        if let Some(thread) = self.thread.take()
            && self.status.stopped().is_none()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the engine thread was already printed by the panic hook.
            let _ = thread.join();
        }
    }
}
