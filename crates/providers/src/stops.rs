//! Stop texts that the provider does not look for itself.

/// Holds text back as long as a stop text may have begun in it.
pub(crate) struct Stops {
    texts: Vec<String>,
    held: String,
}

impl Stops {
    pub(crate) fn new(texts: Vec<String>) -> Self {
        Self { texts: texts.into_iter().filter(|text| !text.is_empty()).collect(), held: String::new() }
    }

    /// The text that is certain, and whether a stop text followed it.
    pub(crate) fn push(&mut self, part: String) -> (String, bool) {
        if self.texts.is_empty() {
            return (part, false);
        }
        self.held.push_str(&part);
        let held = self.held.as_str();
        if let Some(at) = self.texts.iter().filter_map(|text| held.find(text.as_str())).min() {
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            return (text, true);
        }
        let longest = self.texts.iter().map(|text| beginning_at_end(held, text)).max().unwrap_or(0);
        let keep = self.held.split_off(held.len() - longest);
        (std::mem::replace(&mut self.held, keep), false)
    }

    /// What was held back, at the end of the answer.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// The length of the longest beginning of `stop` that `text` ends with.
fn beginning_at_end(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.into_iter().find(|length| stop.get(..*length).is_some_and(|begin| text.ends_with(begin))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], parts: &[&str]) -> (String, bool) {
        let mut filter = Stops::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut all = String::new();
        for part in parts {
            let (text, stopped) = filter.push((*part).to_owned());
            all.push_str(&text);
            if stopped {
                return (all, true);
            }
        }
        all.push_str(&filter.finish());
        (all, false)
    }

    #[test]
    fn the_answer_ends_before_the_first_stop_text() {
        assert_eq!(run(&["\n\n"], &["a\n", "b\n", "\nc"]), ("a\nb".to_owned(), true));
        assert_eq!(run(&["END", "\n"], &["so E", "N", "d"]), ("so ENd".to_owned(), false));
        assert_eq!(run(&[], &["as ", "it is"]), ("as it is".to_owned(), false));
        assert_eq!(run(&["", "ß!"], &["Gru", "ß", "!"]), ("Gru".to_owned(), true));
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(text in "[abß]{0,20}", stops in prop::collection::vec("[abß]{1,4}", 0..4), size in 1_usize..5) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let chars: Vec<char> = text.chars().collect();
            let parts: Vec<String> = chars.chunks(size).map(|part| part.iter().collect()).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let (streamed, _) = run(&stops, &parts);
            // The text ends at the stop text that is complete first, not at the one that begins first.
            let first = (0..=text.len()).filter(|end| text.is_char_boundary(*end)).find_map(|end| {
                let seen = &text[..end];
                stops.iter().filter(|stop| seen.ends_with(**stop)).map(|stop| end - stop.len()).min()
            });
            if size == 1 {
                prop_assert_eq!(streamed, text[..first.unwrap_or(text.len())].to_owned());
            } else {
                prop_assert!(text.starts_with(&streamed));
                prop_assert!(stops.iter().all(|stop| !streamed.contains(stop)));
            }
        }
    }
}
