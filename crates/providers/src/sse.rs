//! Server-sent events, <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

use std::collections::VecDeque;

use crate::failure::Broken;

/// Bytes of one event at most. A whole answer in one event is smaller by far.
const MAX_EVENT: usize = 4 << 20;

/// One event that has data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its type, or empty.
    pub(crate) kind: String,
    /// Its data; the lines of several are joined by a line feed.
    pub(crate) data: String,
}

/// Cuts bytes into events, wherever the network cut them.
pub(crate) struct EventReader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_cr: bool,
    at_start: bool,
    bytes: usize,
    max_bytes: usize,
}

impl EventReader {
    /// Refuses streams of more than `max_bytes` in all.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            after_cr: false,
            at_start: true,
            bytes: 0,
            max_bytes,
        }
    }

    /// Takes the next bytes, and appends the events that they complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8], events: &mut VecDeque<Event>) -> Result<(), Broken> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.max_bytes {
            return Err(Broken::TooLarge);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (before, rest) = bytes.split_at(end);
            let (terminator, rest) = rest.split_at(1);
            bytes = rest;
            // The line feed after a carriage return ends the same line.
            let second_half = before.is_empty() && self.after_cr && terminator == b"\n";
            self.after_cr = terminator == b"\r";
            if !second_half {
                self.extend_line(before)?;
                self.end_line(events)?;
            }
        }
        if !bytes.is_empty() {
            self.after_cr = false;
            self.extend_line(bytes)?;
        }
        Ok(())
    }

    /// Takes the end of the stream: an event counts also where only the empty line after it is missing.
    pub(crate) fn finish(&mut self, events: &mut VecDeque<Event>) -> Result<(), Broken> {
        if !self.line.is_empty() {
            self.end_line(events)?;
        }
        self.dispatch(events);
        Ok(())
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.line.len() + self.event.data.len() + bytes.len() > MAX_EVENT {
            return Err(Broken::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut VecDeque<Event>) -> Result<(), Broken> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8(line).map_err(|_| Broken::NotAnAnswer)?;
        let mut line = line.as_str();
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments keep the connection alive; ids and retry times are for clients that resume.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, events: &mut VecDeque<Event>) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            events.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = EventReader::new(usize::MAX);
        let mut events = VecDeque::new();
        for piece in pieces {
            reader.push(piece, &mut events).unwrap();
        }
        reader.finish(&mut events).unwrap();
        events.into_iter().map(|event| (event.kind, event.data)).collect()
    }

    #[test]
    fn fields_comments_and_line_ends() {
        let stream = "\u{feff}: hello\r\nevent: ping\r\ndata: {}\r\n\r\ndata:a\rdata: b\r\rid: 7\nretry: 5\n\nevent: lost\n\ndata\n\ndata: end";
        let expected = [("ping", "{}"), ("", "a\nb"), ("", ""), ("", "end")];
        assert_eq!(read(&[stream.as_bytes()]), expected.map(|(kind, data)| (kind.to_owned(), data.to_owned())));
    }

    #[test]
    fn bounds_hold() {
        let mut events = VecDeque::new();
        assert_eq!(EventReader::new(10).push(b"data: 123456789", &mut events), Err(Broken::TooLarge));
        let mut reader = EventReader::new(usize::MAX);
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..6).position(|_| reader.push(&chunk, &mut events).is_err());
        assert_eq!(refused, Some(4), "a line without end is not kept");
        assert!(events.is_empty());
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        let mut events = VecDeque::new();
        assert_eq!(EventReader::new(99).push(b"data: \xff\n", &mut events), Err(Broken::NotAnAnswer));
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_how_bytes_are_cut(
            lines in prop::collection::vec("(data: ?|event: ?|: |x)?[a-zäß日🙂 :]{0,6}(\n|\r\n|\r|\n\n|\r\n\r\n|\r\r)", 0..12),
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let stream = lines.concat();
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }
    }
}
