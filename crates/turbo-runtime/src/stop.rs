//! Stop texts in a stream: text is held back as long as it may be the beginning of one.

/// Finds stop texts in text that arrives in pieces.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

impl StopMatcher {
    /// A matcher for these texts; empty ones are ignored.
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Adds text; returns what is certain not to belong to a stop text, and whether one was completed. After a
    /// stop text nothing more comes out.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        if self.stops.is_empty() {
            return (text.to_owned(), false);
        }
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            let out = self.held[..at].to_owned();
            self.held.clear();
            return (out, true);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// The text still held back, when the stream has ended otherwise.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length in bytes of the longest end of `text` that is a proper beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices().map(|(at, _)| at).rev().find(|&n| text.ends_with(&stop[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool, String) {
        let stops: Vec<String> = stops.iter().map(|&s| s.to_owned()).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut out = Vec::new();
        for piece in pieces {
            let (text, stopped) = matcher.push(piece);
            out.push(text);
            if stopped {
                return (out, true, matcher.finish());
            }
        }
        (out, false, matcher.finish())
    }

    #[test]
    fn a_stop_text_over_several_pieces_is_not_shown() {
        let (out, stopped, rest) = feed(&["\n\nUser:"], &["Hello\n", "\nUs", "er: more"]);
        assert_eq!((out.concat().as_str(), stopped, rest.as_str()), ("Hello", true, ""));
    }

    #[test]
    fn a_false_start_is_released() {
        let (out, stopped, rest) = feed(&["stop"], &["a st", "ar ", "sto"]);
        assert_eq!(out, ["a ", "star ", ""]);
        assert_eq!((stopped, rest.as_str()), (false, "sto"));
    }

    #[test]
    fn the_earliest_of_several_wins_and_characters_stay_whole() {
        let (out, stopped, _) = feed(&["z", "é"], &["aéz"]);
        assert_eq!((out.concat().as_str(), stopped), ("a", true));
        assert_eq!(overlap("ab é", "éa"), 2);
        assert_eq!(overlap("aab", "aabaab"), 3);
    }
}
