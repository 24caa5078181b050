//! Bytes of tokens to text, while they come.

/// Turns the bytes of one token after another into whole characters.
///
/// A character that is cut across tokens waits for its rest. Bytes that can never become a character are replaced as
/// [`String::from_utf8_lossy`] replaces them: joined together, the parts are what it makes of all the bytes at once.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    /// The beginning of a character, at most three bytes.
    waiting: Vec<u8>,
}

impl StreamDecoder {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The characters that are complete with these bytes; often empty.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.waiting.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.waiting.len());
        let mut read = 0;
        for chunk in self.waiting.utf8_chunks() {
            text.push_str(chunk.valid());
            read += chunk.valid().len();
            let broken = chunk.invalid();
            let last = read + broken.len() == self.waiting.len();
            if broken.is_empty() || (last && is_beginning(broken)) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            read += broken.len();
        }
        self.waiting.drain(..read);
        text
    }

    /// Whether the beginning of a character waits for its rest.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What is left when nothing more comes: empty, or one U+FFFD for a character that was cut off.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::StreamDecoder;

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let mut decoder = StreamDecoder::new();
        let parts: Vec<String> = "é€😀!".as_bytes().chunks(1).map(|byte| decoder.push(byte)).collect();
        assert_eq!(parts, ["", "é", "", "", "€", "", "", "", "😀", "!"]);
        assert!(!decoder.is_waiting());
        assert_eq!(decoder.finish(), "");
    }

    #[test]
    fn what_can_be_no_character_is_replaced_at_once() {
        let mut decoder = StreamDecoder::new();
        assert_eq!(decoder.push(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decoder.push(b"\xf0\x9f"), "");
        // The third byte shows that the first two were no beginning.
        assert_eq!(decoder.push(b"x\xe2\x82"), "\u{fffd}x");
        assert!(decoder.is_waiting());
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert_eq!(decoder.finish(), "");
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select("aé€😀\u{fffd}".as_bytes().to_vec())], 0..40),
            cuts in prop::collection::vec(1_usize..6, 1..40),
        ) {
            let mut decoder = StreamDecoder::new();
            let (mut text, mut rest) = (String::new(), bytes.as_slice());
            for cut in cuts.iter().cycle() {
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                text.push_str(&decoder.push(part));
                prop_assert!(decoder.waiting.len() <= 3);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            text.push_str(&decoder.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
