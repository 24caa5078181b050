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
