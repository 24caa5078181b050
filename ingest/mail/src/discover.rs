//! Which mailboxes are in a file or under a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rejoinder_domain::{MailboxId, Skipped};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::mbox::is_postmark;
use crate::rfc5322::hexadecimal;
use crate::source::{Format, MailboxInfo, SourceError};

/// How deep folders are walked.
const MAX_DEPTH: usize = 64;

/// How much of a file's head and tail goes into its fingerprint, in bytes.
const FINGERPRINT_BYTES: u64 = 64 << 10;

/// One mailbox that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The file, or the folder that is the mailbox.
    pub path: PathBuf,
    /// What it is written in.
    pub format: Format,
}

/// What is under a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Mailboxes, by path.
    pub mailboxes: Vec<Found>,
    /// Files that are no mailbox, each with the reason: nothing is passed over silently.
    pub skipped: Vec<Skipped>,
}

/// Finds the mailboxes in a file or, recursively, under a folder. Files are told by their first bytes, not only by their
/// name. A folder with `cur` and `new` is a Maildir with its subfolders; the `.eml` files of one folder are one mailbox.
/// Links to folders are followed once; a loop ends.
///
/// # Errors
/// [`SourceError::Io`] when `path` itself cannot be read.
pub fn discover(path: &Path) -> Result<Discovery, SourceError> {
    let metadata = fs::metadata(path).map_err(|source| SourceError::io(path, source))?;
    let mut discovery = Discovery::default();
    if metadata.is_dir() {
        fs::read_dir(path).map_err(|source| SourceError::io(path, source))?;
        walk(path, &mut discovery);
    } else {
        match format_of(path) {
            Ok(Some(Format::Msg)) => discovery.skip(path, "Outlook .msg files are not supported yet"),
            Ok(Some(format)) => discovery.mailboxes.push(Found { path: path.to_owned(), format }),
            // What a caller names is tried even if nothing in it looks like mail.
            Ok(None) => discovery.skip(path, "it is not a mailbox of a known format"),
            Err(source) => return Err(SourceError::io(path, source)),
        }
    }
    discovery.mailboxes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(discovery)
}

impl Discovery {
    fn skip(&mut self, path: &Path, reason: &str) {
        self.skipped.push(Skipped { place: path.display().to_string(), reason: reason.to_owned() });
    }
}

/// Walks without recursion, so that depth costs memory and not stack.
fn walk(root: &Path, discovery: &mut Discovery) {
    let mut seen = std::collections::BTreeSet::new();
    let mut stack = vec![(root.to_owned(), 0usize)];
    while let Some((folder, depth)) = stack.pop() {
        let canonical = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
        if !seen.insert(canonical) {
            continue;
        }
        if depth > MAX_DEPTH {
            discovery.skip(&folder, "folders are nested too deep");
            continue;
        }
        if is_maildir(&folder) {
            discovery.mailboxes.push(Found { path: folder.clone(), format: Format::Maildir });
        }
        let Ok(entries) = fs::read_dir(&folder) else {
            discovery.skip(&folder, "the folder cannot be read");
            continue;
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        let in_maildir = is_maildir(&folder);
        let mut has_eml = false;
        for path in paths {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    if !(in_maildir && (matches!(name.as_str(), "cur" | "new" | "tmp") || is_maildir(&path))) {
                        stack.push((path, depth + 1));
                    }
                }
                Ok(_) => has_eml |= classify(&path, in_maildir, discovery),
                Err(_) => discovery.skip(&path, "it cannot be read"),
            }
        }
        if has_eml {
            discovery.mailboxes.push(Found { path: folder, format: Format::Eml });
        }
    }
}

/// Adds what one file of a folder is; whether it is an `.eml` file, which its folder's mailbox holds.
fn classify(path: &Path, in_maildir: bool, discovery: &mut Discovery) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if in_maildir && (name.starts_with("dovecot") || name.starts_with("maildir") || name == "subscriptions") {
        return false;
    }
    match format_of(path) {
        Ok(Some(Format::Eml)) => return true,
        Ok(Some(Format::Msg)) => discovery.skip(path, "Outlook .msg files are not supported yet"),
        Ok(Some(format)) => discovery.mailboxes.push(Found { path: path.to_owned(), format }),
        Ok(None) if name == "winmail.dat" => {
            discovery.skip(path, "Outlook's TNEF attachments (winmail.dat) on their own are not supported");
        }
        Ok(None) => discovery.skip(path, "it is not a mailbox of a known format"),
        Err(_) => discovery.skip(path, "it cannot be read"),
    }
    false
}

fn is_maildir(folder: &Path) -> bool {
    folder.join("cur").is_dir() && folder.join("new").is_dir()
}

/// What the first bytes of a file, and then its name, say that it is.
fn format_of(path: &Path) -> std::io::Result<Option<Format>> {
    let mut head = Vec::new();
    File::open(path)?.take(8192).read_to_end(&mut head)?;
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    if let Some(format) = outlook_format(&head) {
        return Ok(Some(format));
    }
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    let first_line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_mail = crate::mime::is_field(first_line) && looks_like_header(start);
    Ok(match extension.as_str() {
        "pst" => Some(Format::PstUnicode),
        "ost" => Some(Format::Ost),
        "eml" | "emlx" | "mht" if !is_postmark(first_line) => Some(Format::Eml),
        "mbox" | "mbx" => Some(Format::Mbox),
        _ if is_postmark(first_line) => Some(Format::Mbox),
        _ if is_mail => Some(Format::Eml),
        _ => None,
    })
}

/// [MS-PST] 2.2.2.6: the magic `!BDN`, the client magic, the version. [MS-CFB] for `.msg`.
fn outlook_format(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"!BDN") {
        let client = head.get(8..10).unwrap_or_default();
        let version = head.get(10..12).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes);
        return Some(match (client, version) {
            (b"SO", _) => Format::Ost,
            (_, 14 | 15) => Format::PstAnsi,
            _ => Format::PstUnicode,
        });
    }
    head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]).then_some(Format::Msg)
}

/// Whether text starts with header fields of which one is a message's.
fn looks_like_header(start: &[u8]) -> bool {
    const FIELDS: [&str; 10] = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "received",
        "return-path",
        "mime-version",
        "delivered-to",
        "x-mozilla-status",
    ];
    start.split(|&byte| byte == b'\n').take(60).any(|line| {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes())) && crate::mime::is_field(line)
    })
}

/// The files of a folder mailbox: path, size, folder inside the mailbox.
pub(crate) fn files_of(found: &Found) -> Result<Vec<(PathBuf, u64, String)>, SourceError> {
    if !found.path.is_dir() {
        let metadata = fs::metadata(&found.path).map_err(|source| SourceError::io(&found.path, source))?;
        return Ok(vec![(found.path.clone(), metadata.len(), String::new())]);
    }
    let mut files = Vec::new();
    if found.format == Format::Maildir {
        for (folder, name) in maildir_folders(&found.path)? {
            for place in ["cur", "new"] {
                for (path, bytes) in plain_files(&folder.join(place))? {
                    files.push((path, bytes, name.clone()));
                }
            }
        }
    } else {
        for (path, bytes) in plain_files(&found.path)? {
            if matches!(format_of(&path), Ok(Some(Format::Eml))) {
                files.push((path, bytes, String::new()));
            }
        }
    }
    Ok(files)
}

/// The Maildir itself and its folders: those of Maildir++ (`.Sent`) and those of a file system layout.
fn maildir_folders(root: &Path) -> Result<Vec<(PathBuf, String)>, SourceError> {
    let mut folders = vec![(root.to_owned(), String::new())];
    let mut stack = vec![(root.to_owned(), String::new(), 0usize)];
    while let Some((folder, prefix, depth)) = stack.pop() {
        let entries = fs::read_dir(&folder).map_err(|source| SourceError::io(&folder, source))?;
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if depth < MAX_DEPTH && is_maildir(&path) && !path.is_symlink() {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let name = name.trim_start_matches('.').replace('.', "/");
                let full = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                folders.push((path.clone(), full.clone()));
                stack.push((path, full, depth + 1));
            }
        }
    }
    Ok(folders)
}

fn plain_files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, SourceError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SourceError::io(folder, error)),
    };
    let mut files = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
            && !hidden
        {
            files.push((path, metadata.len()));
        }
    }
    Ok(files)
}

/// Describes the mailbox that was found.
pub(crate) fn mailbox_info(found: &Found) -> Result<MailboxInfo, SourceError> {
    let canonical = fs::canonicalize(&found.path).map_err(|source| SourceError::io(&found.path, source))?;
    let name = canonical.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The files of a folder and the folder as a Maildir are two mailboxes.
    let format: &[u8] = if found.format == Format::Maildir { b"maildir" } else { b"" };
    let id = MailboxId::from_content(&[canonical.as_os_str().as_encoded_bytes(), format]);
    let fingerprint = fingerprint(found)?;
    Ok(MailboxInfo { id, name, path: canonical, format: found.format, fingerprint, owner: None })
}

fn fingerprint(found: &Found) -> Result<String, SourceError> {
    let mut hasher = Sha256::new();
    if found.path.is_dir() {
        let files: BTreeMap<PathBuf, u64> =
            files_of(found)?.into_iter().map(|(path, bytes, _)| (path, bytes)).collect();
        for (path, bytes) in files {
            let relative = path.strip_prefix(&found.path).unwrap_or(&path);
            hasher.update(relative.as_os_str().as_encoded_bytes());
            hasher.update(bytes.to_le_bytes());
            hasher.update(modified(&path).to_le_bytes());
        }
    } else {
        let io = |source| SourceError::io(&found.path, source);
        let mut file = File::open(&found.path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        hasher.update(length.to_le_bytes());
        hasher.update(modified(&found.path).to_le_bytes());
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(FINGERPRINT_BYTES).read_to_end(&mut bytes).map_err(io)?;
        file.seek(SeekFrom::Start(length.saturating_sub(FINGERPRINT_BYTES))).map_err(io)?;
        file.take(FINGERPRINT_BYTES).read_to_end(&mut bytes).map_err(io)?;
        hasher.update(&bytes);
    }
    Ok(hexadecimal(hasher.finalize().get(..16).unwrap_or_default()))
}

/// Modification time in nanoseconds since 1970; 0 where the file system has none.
fn modified(path: &Path) -> u128 {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |age| age.as_nanos())
}
