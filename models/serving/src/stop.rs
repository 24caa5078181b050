//! Stop texts, which may begin in one token and end in another.

/// Passes text through until a stop text comes; holds back what may be the beginning of one.
#[derive(Debug)]
pub(crate) struct StopTexts {
    stops: Vec<String>,
    held: String,
}

/// What may be shown after a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Text that is certainly before any stop text.
    pub(crate) text: String,
    /// Whether a stop text came. Nothing passes any more.
    pub(crate) stopped: bool,
}

impl StopTexts {
    /// Looks for `stops`; empty ones are ignored.
    pub(crate) fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|stop| !stop.is_empty());
        Self { stops, held: String::new() }
    }

    /// Takes the next text.
    pub(crate) fn push(&mut self, text: &str) -> Passed {
        if self.stops.is_empty() {
            return Passed { text: text.to_owned(), stopped: false };
        }
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Passed { text: std::mem::take(&mut self.held), stopped: true };
        }
        let kept = self.stops.iter().map(|stop| beginning_at_end(&self.held, stop)).max().unwrap_or(0);
        let kept = self.held.split_off(self.held.len() - kept);
        Passed { text: std::mem::replace(&mut self.held, kept), stopped: false }
    }

    /// What was held back, now that no more text comes; nothing after a stop text.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end of `text` are the beginning of `stop`, at most.
fn beginning_at_end(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .rev()
        .find(|&at| stop.get(..at).is_some_and(|b| text.ends_with(b)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::StopTexts;

    /// Everything that passes when `text` comes in pieces of `size` characters.
    fn passed(stops: &[&str], text: &str, size: usize) -> (String, bool) {
        let mut stop_texts = StopTexts::new(stops.iter().map(|&stop| stop.to_owned()).collect());
        let characters: Vec<char> = text.chars().collect();
        let mut shown = String::new();
        for piece in characters.chunks(size) {
            let passed = stop_texts.push(&piece.iter().collect::<String>());
            shown.push_str(&passed.text);
            if passed.stopped {
                return (shown, true);
            }
        }
        shown.push_str(&stop_texts.finish());
        (shown, false)
    }

    #[test]
    fn a_stop_text_ends_the_answer_wherever_tokens_begin() {
        for size in 1..12 {
            assert_eq!(passed(&["\n\nUser:"], "Grüße\n\nUser: und", size), ("Grüße".to_owned(), true), "{size}");
            assert_eq!(passed(&["\n\nUser:"], "Grüße\n\nUse", size), ("Grüße\n\nUse".to_owned(), false), "{size}");
            assert_eq!(passed(&["ende", "d"], "das ende", size), (String::new(), true), "{size}");
            assert_eq!(passed(&["aab"], "aaaab", size), ("aa".to_owned(), true), "{size}");
            assert_eq!(passed(&["ß€"], "ßß€", size), ("ß".to_owned(), true), "{size}");
            assert_eq!(passed(&[], "alles", size), ("alles".to_owned(), false), "{size}");
        }
    }

    #[test]
    fn only_what_may_be_a_beginning_is_held() {
        let mut stops = StopTexts::new(vec!["END".to_owned(), String::new()]);
        assert_eq!(stops.push("the E").text, "the ");
        assert_eq!(stops.push("N").text, "");
        assert_eq!(stops.push("tropy").text, "ENtropy");
    }
}
