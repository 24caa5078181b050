//! Configuration of the store on a Qdrant server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rejoinder_domain::{ErrorKind, SeamError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// How many replicas a read asks, where a collection has more than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadConsistency {
    /// One, whichever answers: a record that was just written may be missing for a moment.
    #[default]
    One,
    /// All, and what most of them agree on counts.
    Majority,
    /// More than half, and what they agree on counts.
    Quorum,
    /// All, and only what is on every one of them counts.
    All,
}

/// A part of a collection that can lie on the disk alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Texts and what else a record says.
    Texts,
    /// Vectors.
    Vectors,
    /// The indexes of words and of what filters name.
    Indexes,
}

/// The section `[store.qdrant]`.
///
/// What concerns the layout of a collection (shards, replicas, where things lie, the average length) is used when the collection
/// is made. Change it later with Qdrant's own tools, or remove the collection and ingest again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QdrantConfig {
    /// Where the server's gRPC port is: `http://127.0.0.1:6334`, or `https://…` for TLS. The certificate is checked against the
    /// system's authorities, or those of the file that the environment variable `SSL_CERT_FILE` names.
    pub url: String,
    /// The environment variable that holds the API key. A key is never sent over plain http but to this machine.
    pub api_key_env: Option<String>,
    /// The file that holds the API key.
    pub api_key_file: Option<PathBuf>,
    /// Whether mail may go over plain http to another machine: only where the network between the two is trusted.
    pub allow_plain_http: bool,
    /// What the names of the collections begin with: 1 to 64 of `a-z`, `0-9` and `-`. Installations that share a server differ in it.
    pub prefix: String,
    /// Seconds that one call may take.
    pub timeout_s: u64,
    /// Seconds that connecting may take.
    pub connect_timeout_s: u64,
    /// Connections to the server, which calls take in turn.
    pub connections: usize,
    /// How often a call that failed for a passing reason is made again.
    pub retries: u32,
    /// Most bytes of one upsert, about; a single larger record goes alone. The server's own limit is 32 MB.
    pub batch_bytes: usize,
    /// Most records of one upsert.
    pub batch_records: usize,
    /// Shards of a new collection; without it as many as the cluster has nodes.
    pub shards: Option<u32>,
    /// On how many nodes a shard of a new collection is.
    pub replication_factor: u32,
    /// How many of these must have a write before it counts as written.
    pub write_consistency_factor: u32,
    /// How many replicas a read asks.
    pub read_consistency: ReadConsistency,
    /// What lies on the disk alone, and not in memory as well.
    pub on_disk: Vec<Part>,
    /// Compares the query with every vector of the tenant. Without, a new collection gets a graph per tenant (HNSW), which is
    /// faster from some 100,000 records of one tenant on and misses some.
    pub exact: bool,
    /// How many candidates the graph keeps while it is searched; without it the server's default. Only with `exact = false`.
    pub ef: Option<u64>,
    /// The terms of a record on average, that BM25 takes a record's length by; see [`crate::qdrant`]. Passages of 200 tokens made of lists,
    /// forums and tickets have 45 to 75.
    pub average_terms: f32,
    /// Seconds for which the counts of terms are kept, by which BM25 weighs them. This process's own writes make it count again.
    pub statistics_s: u64,
    /// How deep each of the two result lists of a search goes before they are fused.
    pub depth: usize,
    /// Most hits that one search returns.
    pub most_hits: usize,
}

impl Default for QdrantConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:6334".to_owned(),
            api_key_env: None,
            api_key_file: None,
            allow_plain_http: false,
            prefix: "rejoinder".to_owned(),
            timeout_s: 30,
            connect_timeout_s: 5,
            connections: 4,
            retries: 5,
            batch_bytes: 4 << 20,
            batch_records: 500,
            shards: None,
            replication_factor: 1,
            write_consistency_factor: 1,
            read_consistency: ReadConsistency::One,
            on_disk: vec![Part::Texts],
            exact: true,
            ef: None,
            average_terms: 60.0,
            statistics_s: 60,
            depth: 1_000,
            most_hits: 10_000,
        }
    }
}

impl QdrantConfig {
    /// Refuses what cannot work or is not safe, in a sentence that says what to change.
    pub fn validate(&self) -> Result<(), SeamError> {
        let address = Address::of(&self.url)?;
        if self.api_key_env.is_some() && self.api_key_file.is_some() {
            return refuse("store.qdrant: set api_key_env or api_key_file, not both");
        }
        if !address.tls && !address.loopback {
            if self.api_key_env.is_some() || self.api_key_file.is_some() {
                return refuse(
                    "store.qdrant: an API key goes over https, or to a server on this machine; change the url",
                );
            }
            if !self.allow_plain_http {
                return refuse(
                    "store.qdrant: the url is plain http to another machine, where others can read the mail on its way; \
                     use https, or set allow_plain_http = true where the network is trusted",
                );
            }
        }
        let in_prefix = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(in_prefix) {
            return refuse("store.qdrant.prefix has 1 to 64 of a-z, 0-9 and '-'");
        }
        if self.timeout_s == 0 || self.connect_timeout_s == 0 || self.connections == 0 {
            return refuse("store.qdrant.timeout_s, connect_timeout_s and connections must be at least 1");
        }
        if self.batch_bytes == 0 || self.batch_records == 0 || self.depth == 0 || self.most_hits == 0 {
            return refuse("store.qdrant.batch_bytes, batch_records, depth and most_hits must be at least 1");
        }
        if self.shards == Some(0) || self.replication_factor == 0 || self.write_consistency_factor == 0 {
            return refuse("store.qdrant.shards, replication_factor and write_consistency_factor must be at least 1");
        }
        if self.write_consistency_factor > self.replication_factor {
            return refuse("store.qdrant.write_consistency_factor cannot be more than replication_factor");
        }
        if self.ef.is_some() && self.exact {
            return refuse("store.qdrant.ef is of use with exact = false alone");
        }
        if !(self.average_terms >= 1.0 && self.average_terms <= 100_000.0) {
            return refuse("store.qdrant.average_terms must be from 1 to 100000");
        }
        Ok(())
    }

    /// The API key, where one is configured.
    pub(super) fn api_key(&self) -> Result<Option<SecretString>, SeamError> {
        let key = match (&self.api_key_env, &self.api_key_file) {
            (Some(name), _) => std::env::var(name).map_err(|error| {
                auth(format!("the environment variable {name} is to hold Qdrant's API key and cannot be read"))
                    .caused_by(error)
            })?,
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
                auth(format!("the file {} is to hold Qdrant's API key and cannot be read", path.display()))
                    .caused_by(error)
            })?,
            (None, None) => return Ok(None),
        };
        let key = key.trim();
        if key.is_empty() {
            return Err(auth("Qdrant's API key is empty".to_owned()));
        }
        Ok(Some(SecretString::from(key.to_owned())))
    }

    pub(super) fn is_on_disk(&self, part: Part) -> bool {
        self.on_disk.contains(&part)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

fn refuse<T>(what: &str) -> Result<T, SeamError> {
    Err(SeamError::new(ErrorKind::Invalid, what))
}

fn auth(what: String) -> SeamError {
    SeamError::new(ErrorKind::Auth, what)
}

/// What matters of a server's address.
struct Address {
    tls: bool,
    loopback: bool,
}

impl Address {
    fn of(url: &str) -> Result<Self, SeamError> {
        let shape = "store.qdrant.url has the form http://HOST:PORT or https://HOST:PORT, without path, user and query";
        let (tls, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return refuse(shape),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() || rest.contains(['/', '?', '#', '@', '\\']) || rest.contains(char::is_whitespace) {
            return refuse(shape);
        }
        let host = match rest.strip_prefix('[') {
            Some(address) => address.split_once(']').map_or("", |(host, _)| host),
            None => rest.split_once(':').map_or(rest, |(host, _)| host),
        };
        if host.is_empty() {
            return refuse(shape);
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        Ok(Self { tls, loopback })
    }
}

#[cfg(test)]
mod tests {
    use super::QdrantConfig;

    fn config(url: &str, key: bool, plain: bool) -> QdrantConfig {
        QdrantConfig {
            url: url.to_owned(),
            api_key_env: key.then(|| "QDRANT_API_KEY".to_owned()),
            allow_plain_http: plain,
            ..QdrantConfig::default()
        }
    }

    #[test]
    fn a_key_goes_over_tls_or_to_this_machine() {
        for url in ["http://127.0.0.1:6334", "http://localhost:6334/", "http://[::1]:6334", "https://q.example:6334"] {
            assert!(config(url, true, false).validate().is_ok(), "{url}");
        }
        for url in ["http://q.example:6334", "http://10.0.0.1:6334", "http://localhost.example:6334"] {
            assert!(config(url, true, true).validate().is_err(), "{url}");
            assert!(config(url, false, false).validate().is_err(), "{url}");
            assert!(config(url, false, true).validate().is_ok(), "{url}");
        }
    }

    #[test]
    fn an_address_is_nothing_but_an_address() {
        for url in [
            "",
            "q:6334",
            "ftp://q",
            "http://",
            "http://u:p@127.0.0.1",
            "http://127.0.0.1:1@evil.example",
            "https://a/b",
            "http://[::1",
        ] {
            assert!(config(url, false, false).validate().is_err(), "{url}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let good = QdrantConfig::default;
        for bad in [
            QdrantConfig { prefix: "a_b".to_owned(), ..good() },
            QdrantConfig { prefix: String::new(), ..good() },
            QdrantConfig { write_consistency_factor: 2, ..good() },
            QdrantConfig { shards: Some(0), ..good() },
            QdrantConfig { average_terms: f32::NAN, ..good() },
            QdrantConfig { ef: Some(64), ..good() },
            QdrantConfig { timeout_s: 0, ..good() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        assert!(good().validate().is_ok());
    }
}
