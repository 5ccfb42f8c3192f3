//! The end of a device: every generation hears of it, and later ones are refused.

use super::{Command, Scheduler};
use crate::error::RuntimeError;
use crate::request::Event;

/// Whether no later batch can succeed.
pub(super) const fn is_fatal(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::Backend(error) if error.is_fatal())
}

impl Scheduler {
    /// Ends all generations with `error`.
    pub(super) fn lose(&mut self, error: &RuntimeError) {
        let message = error.to_string();
        // Said first, so that no request comes between: those that did are refused below.
        self.status.stop(&message);
        for mut task in self.running.drain(..).chain(self.waiting.drain(..)) {
            task.fail(message.clone());
        }
        self.lost = Some(message);
    }

    /// Refuses what comes until all handles are gone.
    pub(super) fn refuse(self, message: &str) {
        while let Ok(command) = self.commands.recv() {
            if let Command::Generate(_, _, mut sink) = command {
                sink(Event::Failed { message: message.to_owned() });
            }
        }
    }
}
