//! From a source folder to the files that are checked in.

use std::fs;
use std::path::Path;

use crate::account::account;
use crate::archive::{eml_files, mbox, write_pst};
use crate::compose::compose;
use crate::error::{Result, SampleError};
use crate::source::Source;

/// Renders `source` into `target`: `support.mbox`, `eml/`, `haldenmarsh.pst` and `expected.json`. What `eml/` held
/// before is removed.
pub fn render(source: &Path, target: &Path) -> Result<()> {
    let source = Source::load(source)?;
    let letters = compose(&source)?;
    let folder = target.join("eml");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(SampleError::io(&folder))?;
    }
    fs::create_dir_all(&folder).map_err(SampleError::io(&folder))?;
    for (name, content) in eml_files(&letters)? {
        write(&folder.join(name), &content)?;
    }
    write(&target.join("support.mbox"), &mbox(&letters)?)?;
    write(&target.join("expected.json"), account(&source, &letters)?.as_bytes())?;
    write_pst(&letters, &target.join("haldenmarsh.pst"))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).map_err(SampleError::io(path))
}
