//! Files of a multipart upload (RFC 7578), written to the disk as they arrive.

use std::path::{Path, PathBuf};

use axum::body::Body;
use rejoinder::{JobRecord, TenantId, Upload};
use rejoinder_access::Quantity;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::problem::Problem;
use crate::server::App;

/// Files of one upload at most.
const MAX_FILES: usize = 1000;
/// Bytes of a file's name at most.
const MAX_NAME: usize = 200;

/// Receives the parts called `file` and queues a job over them. Whatever goes wrong before that, nothing of the upload stays.
pub(crate) async fn receive(app: &App, tenant: &TenantId, boundary: String, body: Body) -> Result<JobRecord, Problem> {
    let id = app.rejoinder.new_job_id();
    let folder = Folder { path: app.rejoinder.uploads(tenant).join(&id), keep: false };
    tokio::fs::create_dir_all(&folder.path).await.map_err(|error| disk(&error))?;
    let limits = multer::SizeLimit::new().whole_stream(app.config.max_upload_bytes);
    let constraints = multer::Constraints::new().size_limit(limits);
    let mut parts = multer::Multipart::with_constraints(body.into_data_stream(), boundary, constraints);
    let (mut names, mut bytes): (Vec<String>, u64) = (Vec::new(), 0);
    while let Some(mut part) = parts.next_field().await.map_err(|error| broken(app, &error))? {
        if part.name() != Some("file") {
            return Err(Problem::parameter("", "a multipart upload has parts called \"file\" and no others"));
        }
        let name = file_name(part.file_name()).ok_or_else(|| {
            Problem::parameter(
                "filename",
                format!("a file needs a name of 1 to {MAX_NAME} bytes that does not begin with a dot"),
            )
        })?;
        if names.len() == MAX_FILES {
            return Err(Problem::too_large(format!("an upload has at most {MAX_FILES} files")));
        }
        if names.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
            return Err(Problem::parameter("filename", "two files of the upload have the same name"));
        }
        let mut file = File::create_new(folder.path.join(&name)).await.map_err(|error| disk(&error))?;
        while let Some(chunk) = part.chunk().await.map_err(|error| broken(app, &error))? {
            app.access.take(tenant, Quantity::IngestBytes, chunk.len() as u64)?;
            file.write_all(&chunk).await.map_err(|error| disk(&error))?;
            bytes += chunk.len() as u64;
        }
        file.flush().await.map_err(|error| disk(&error))?;
        // An acknowledged job must have its file after a power failure.
        file.sync_all().await.map_err(|error| disk(&error))?;
        names.push(name);
    }
    let Some(first) = names.first() else {
        return Err(Problem::parameter("file", "the upload has no file"));
    };
    let name = if names.len() == 1 { first.clone() } else { format!("{} files", names.len()) };
    // The folder, so that it goes with its files.
    let path = folder.path.clone();
    let job = app.rejoinder.submit_upload(tenant, Upload { id, name, path, bytes }).await;
    let job = job.map_err(|error| Problem::from_library(&error))?;
    folder.keep();
    Ok(job)
}

/// The last component of the name that the client gives, where a file may be called so.
fn file_name(given: Option<&str>) -> Option<String> {
    let name = given?.rsplit(['/', '\\']).next()?.trim();
    let sane = |c: char| !c.is_control() && !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    (!name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && name.chars().all(sane))
        .then(|| name.to_owned())
}

/// The folder of one upload; gone when it is dropped, unless it is kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.path);
        }
    }
}

/// On a thread that may block; what cannot be removed is removed when the server starts again.
fn remove(path: &Path) {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!(kind = ?error.kind(), "an upload that was given up could not be removed");
        }
    });
}

fn disk(error: &std::io::Error) -> Problem {
    tracing::error!(kind = ?error.kind(), "an upload could not be written");
    Problem::no_space()
}

fn broken(app: &App, error: &multer::Error) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => Problem::too_large(
            format!("an upload has at most {} bytes (max_upload_bytes)", app.config.max_upload_bytes),
        ),
        _ => Problem::malformed_multipart(),
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        for (given, name) in [
            ("mail.pst", Some("mail.pst")),
            ("C:\\Users\\a\\mail.pst", Some("mail.pst")),
            ("../../etc/passwd", Some("passwd")),
            ("Größe 1.eml", Some("Größe 1.eml")),
            ("..", None),
            (".bashrc", None),
            ("a/", None),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(file_name(Some(given)).as_deref(), name, "{given:?}");
        }
        assert_eq!(file_name(Some(&"a".repeat(300))), None);
        assert_eq!(file_name(None), None);
    }
}
