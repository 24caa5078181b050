//! What a source says a file is, and whether it is that.

use std::path::Path;

use crate::manifest::FileEntry;

/// What a file must be, by the manifest or by its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Its length; nothing where the file was made here.
    pub(super) bytes: Option<u64>,
    /// How to know it.
    pub(super) proof: Proof,
    /// Where it comes from, for people.
    pub(super) source: String,
}

/// How a file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// By its SHA-256.
    Sha256(String),
    /// By the id of the git object that a repository of the hub holds in its place: a Git LFS pointer, which names SHA-256
    /// and length.
    #[cfg(feature = "hub")]
    LfsPointer(String),
    /// By the id of the git object that it is.
    #[cfg(feature = "hub")]
    GitBlob(String),
    /// It was made here out of a file whose digest was right.
    Made,
}

impl Expected {
    /// What the manifest says, where it says something.
    pub(super) fn pinned(file: &FileEntry, source: &str) -> Option<Self> {
        let (sha256, bytes) = file.pinned()?;
        Some(Self { bytes: Some(bytes), proof: Proof::Sha256(sha256.to_owned()), source: source.to_owned() })
    }

    /// Compares the file at `path`, of `bytes` and `sha256`; the error is a sentence.
    pub(super) fn check(&self, name: &str, path: &Path, bytes: u64, sha256: &str) -> Result<(), String> {
        if let Some(expected) = self.bytes.filter(|expected| *expected != bytes) {
            return Err(format!("{name} is {bytes} bytes long, should be {expected}"));
        }
        let (is, found, should) = match &self.proof {
            Proof::Sha256(expected) => ("SHA-256 of", sha256.to_owned(), expected),
            #[cfg(feature = "hub")]
            Proof::LfsPointer(expected) => ("the git id of the pointer to", git::of_pointer(sha256, bytes), expected),
            #[cfg(feature = "hub")]
            Proof::GitBlob(expected) => {
                let id = git::of_file(path, bytes).map_err(|error| format!("{name}: {error}"))?;
                ("the git id of", id, expected)
            }
            Proof::Made => return Ok(()),
        };
        // Only a file that git holds itself is read again.
        let _ = path;
        if found == *should { Ok(()) } else { Err(format!("{is} {name} is {found}, should be {should}")) }
    }
}

/// Ids of git objects: SHA-1 of `blob <length>`, a zero byte and the content.
#[cfg(feature = "hub")]
mod git {
    use std::io::Read;
    use std::path::Path;

    use sha1_smol::Sha1;

    /// The id of the pointer that git holds where Git LFS holds a file (git-lfs specification, version 1).
    pub(super) fn of_pointer(sha256: &str, bytes: u64) -> String {
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {bytes}\n");
        let mut digest = header(pointer.len() as u64);
        digest.update(pointer.as_bytes());
        digest.digest().to_string()
    }

    /// The id of a file of `bytes` that git holds itself.
    pub(super) fn of_file(path: &Path, bytes: u64) -> std::io::Result<String> {
        let mut digest = header(bytes);
        let mut file = std::fs::File::open(path)?;
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut piece)?;
            let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
            digest.update(read);
        }
        Ok(digest.digest().to_string())
    }

    fn header(bytes: u64) -> Sha1 {
        Sha1::from(format!("blob {bytes}\0"))
    }

    #[cfg(test)]
    mod tests {
        /// `git hash-object` says so.
        #[test]
        fn ids_are_those_of_git() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            std::fs::write(&path, "what is up, doc?").unwrap();
            assert_eq!(super::of_file(&path, 16).unwrap(), "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
            let sha256 = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
            assert_eq!(super::of_pointer(sha256, 12345), "60c8d8ab2adcf57a391163a7eeb0cdb8bf348e44");
        }
    }
}
