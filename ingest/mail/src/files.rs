//! Mailboxes that are folders: Maildir, and folders of `.eml` files. A single `.eml` file is a mailbox of one item.

use std::fs;
use std::path::{Path, PathBuf};

use rejoinder_domain::{Provenance, Skipped};

use crate::discover::{self, Found, mailbox_info};
use crate::limits::Limits;
use crate::rfc5322::parse_rfc5322;
use crate::source::{MailSource, MailboxInfo, SourceError, SourceItem, is_sent_folder};

/// One file of the mailbox.
struct MailFile {
    path: PathBuf,
    bytes: u64,
    /// Folder inside the mailbox; empty where there are no folders.
    folder: String,
}

/// The items of a Maildir or of a folder of `.eml` files, by folder and file name.
pub(crate) struct FileSource {
    info: MailboxInfo,
    limits: Limits,
    files: Vec<MailFile>,
    next: usize,
    done_bytes: u64,
    total_bytes: u64,
}

impl FileSource {
    pub(crate) fn open(found: &Found, limits: &Limits) -> Result<Self, SourceError> {
        let info = mailbox_info(found)?;
        let mut files: Vec<MailFile> = discover::files_of(found)?
            .into_iter()
            .map(|(path, bytes, folder)| MailFile { path, bytes, folder })
            .collect();
        files.sort_by(|a, b| (&a.folder, &a.path).cmp(&(&b.folder, &b.path)));
        let total_bytes = files.iter().map(|file| file.bytes).sum();
        Ok(Self { info, limits: limits.clone(), files, next: 0, done_bytes: 0, total_bytes })
    }

    fn read(&self, file: &MailFile) -> Result<(rejoinder_domain::Message, Vec<Skipped>), Skipped> {
        let skipped = |reason: String| Skipped { place: String::new(), reason };
        if file.bytes > self.limits.max_item_bytes {
            return Err(skipped(format!("{} bytes are over the limit of {}", file.bytes, self.limits.max_item_bytes)));
        }
        let raw =
            fs::read(&file.path).map_err(|error| skipped(format!("the file cannot be read: {}", error.kind())))?;
        parse_rfc5322(emlx_payload(&file.path, &raw), &self.limits)
    }
}

/// Apple Mail's `.emlx`: the number of bytes on the first line, the message, then a property list.
fn emlx_payload<'a>(path: &Path, raw: &'a [u8]) -> &'a [u8] {
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("emlx")) {
        return raw;
    }
    let Some(end) = memchr::memchr(b'\n', raw) else { return raw };
    let count =
        raw.get(..end).and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.trim().parse().ok());
    let rest = raw.get(end + 1..).unwrap_or_default();
    count.and_then(|count: usize| rest.get(..count)).unwrap_or(rest)
}

impl Iterator for FileSource {
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        let file = self.files.get(self.next)?;
        let relative = file.path.strip_prefix(&self.info.path).unwrap_or(&file.path);
        let place = match relative.to_string_lossy() {
            name if name.is_empty() => {
                file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            name => name.into_owned(),
        };
        let here = |skipped: Skipped| Skipped { place: place.clone(), reason: skipped.reason };
        let (outcome, losses) = match self.read(file) {
            Ok((message, losses)) => (Ok(message), losses.into_iter().map(here).collect()),
            Err(skipped) => (Err(here(skipped)), Vec::new()),
        };
        let item = SourceItem {
            provenance: Provenance { mailbox: self.info.id.clone(), folder: file.folder.clone(), place },
            position: self.next as u64,
            in_sent_folder: is_sent_folder(&file.folder) || is_sent_folder(&self.info.name),
            outcome,
            losses,
        };
        self.done_bytes += file.bytes;
        self.next += 1;
        Some(item)
    }
}

impl MailSource for FileSource {
    fn mailbox(&self) -> &MailboxInfo {
        &self.info
    }

    fn skip_to(&mut self, position: u64) -> Result<(), SourceError> {
        if position < self.next as u64 {
            return Err(SourceError::Backwards { wanted: position, reached: self.next as u64 });
        }
        self.next = usize::try_from(position).unwrap_or(usize::MAX).min(self.files.len());
        self.done_bytes = self.files.iter().take(self.next).map(|file| file.bytes).sum();
        Ok(())
    }

    fn size_hint_bytes(&self) -> (u64, u64) {
        (self.done_bytes, self.total_bytes)
    }
}
