//! Whether the engine thread still works.

use std::sync::Mutex;

/// Told once why the engine has stopped.
pub(crate) type Listener = Box<dyn FnOnce(&str) + Send>;

/// The reason for which the engine has stopped, if it has, and who wants to know.
#[derive(Default)]
pub(crate) struct Status {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopped: Option<String>,
    listeners: Vec<Listener>,
}

impl Status {
    /// The first reason stays.
    pub(crate) fn stop(&self, reason: &str) {
        let listeners = {
            let mut state = self.lock();
            if state.stopped.is_some() {
                return;
            }
            state.stopped = Some(reason.to_owned());
            std::mem::take(&mut state.listeners)
        };
        listeners.into_iter().for_each(|tell| tell(reason));
    }

    pub(crate) fn stopped(&self) -> Option<String> {
        self.lock().stopped.clone()
    }

    /// Calls `listener` when the engine stops, at once if it has.
    pub(crate) fn on_stop(&self, listener: Listener) {
        let stopped = {
            let mut state = self.lock();
            match state.stopped.clone() {
                Some(reason) => reason,
                None => return state.listeners.push(listener),
            }
        };
        listener(&stopped);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Reports a panic of the thread that holds it.
pub(crate) struct PanicGuard<'a>(pub(crate) &'a Status);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop("its thread panicked: this is a bug, please report what stands above");
        }
    }
}
