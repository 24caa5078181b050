//! Files that lie in a plain-text body itself, uuencoded, from before MIME. (yEnc blocks stay in the text: they cannot be
//! told from damage once a body was decoded as text.)

use crate::transfer;

/// A file that was found in a text.
pub(crate) struct InlineFile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Takes complete uuencoded blocks out of `text`. A block without its end stays in the text.
pub(crate) fn take(text: &str) -> (String, Vec<InlineFile>) {
    let mut files = Vec::new();
    if !text.contains("begin ") {
        return (text.to_owned(), files);
    }
    let mut out = String::with_capacity(text.len());
    let mut block: Option<Block<'_>> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        match &mut block {
            None => match Block::start(content, at) {
                Some(started) => block = Some(started),
                None => out.push_str(line),
            },
            Some(open) => match open.read(content) {
                Step::More => {}
                Step::Done => {
                    files.extend(block.take().map(|done| InlineFile { name: done.name.to_owned(), bytes: done.bytes }));
                }
                Step::NotABlock => {
                    out.push_str(text.get(open.start..at + line.len()).unwrap_or_default());
                    block = None;
                }
            },
        }
        at += line.len();
    }
    if let Some(open) = block {
        out.push_str(text.get(open.start..).unwrap_or_default());
    }
    (out, files)
}

struct Block<'a> {
    start: usize,
    name: &'a str,
    bytes: Vec<u8>,
}

enum Step {
    More,
    Done,
    NotABlock,
}

impl<'a> Block<'a> {
    fn start(line: &'a str, start: usize) -> Option<Self> {
        let (mode, name) = line.strip_prefix("begin ")?.split_once(' ')?;
        let is_mode = matches!(mode.len(), 3 | 4) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        (is_mode && !name.trim().is_empty()).then(|| Self { start, name: name.trim(), bytes: Vec::new() })
    }

    fn read(&mut self, line: &str) -> Step {
        if line == "end" {
            return if self.bytes.is_empty() { Step::NotABlock } else { Step::Done };
        }
        let Some(&length) = line.as_bytes().first() else { return Step::More };
        let bytes = usize::from(length.wrapping_sub(32) & 63);
        let plausible = (b' '..=b'`').contains(&length) && line.len() > 1 + bytes * 4 / 3 - usize::from(bytes > 2) * 3;
        if !plausible && bytes != 0 {
            return Step::NotABlock;
        }
        transfer::uu_line(line.as_bytes(), &mut self.bytes);
        Step::More
    }
}

#[cfg(test)]
mod tests {
    use super::take;

    #[test]
    fn a_uuencoded_file_is_taken_out() {
        let (text, files) = take("Hello\nbegin 644 cat.txt\n#0V%T\n`\nend\nBye\n");
        assert_eq!(text, "Hello\nBye\n");
        assert_eq!((files[0].name.as_str(), files[0].bytes.as_slice()), ("cat.txt", b"Cat".as_slice()));
    }

    #[test]
    fn words_that_only_look_like_it_stay() {
        for text in
            ["begin 644 cat.txt\nthat was all\n", "begin 2023 with joy\nend\n", "begin the day\nend", "begin 644 x\n"]
        {
            assert_eq!(take(text).0, text);
        }
    }
}
