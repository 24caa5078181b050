//! Named attribute schemas: what a CRM asks for by name instead of sending it every time.
//!
//! A schema is a file `NAME@VERSION.json`. Those of `config/schemas` are compiled in; a folder adds to them or stands in
//! for them, and a folder in it that is called like a tenant holds what only that tenant sees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rejoinder_domain::TenantId;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// The shipped ones.
const SHIPPED: [(&str, &str); 4] = [
    ("close_out@1.json", include_str!("../../../config/schemas/close_out@1.json")),
    ("column_mapping@1.json", include_str!("../../../config/schemas/column_mapping@1.json")),
    ("intent@1.json", include_str!("../../../config/schemas/intent@1.json")),
    ("lead_qualification@1.json", include_str!("../../../config/schemas/lead_qualification@1.json")),
];

/// Larger files are no schemas.
const MAX_BYTES: u64 = 1 << 20;

/// Where further schemas are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchemasConfig {
    /// Folder of `NAME@VERSION.json` for all tenants, and of one folder per tenant. None: the shipped ones only.
    pub dir: Option<PathBuf>,
}

/// One version of a named schema.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSchema {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// JSON Schema of an object.
    pub schema: Arc<Value>,
}

/// All schemas, and whose they are.
pub(crate) struct Schemas {
    config: SchemasConfig,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    shared: Versions,
    of_tenant: BTreeMap<TenantId, Versions>,
}

/// By name and version.
type Versions = BTreeMap<(String, u32), Arc<Value>>;

impl Schemas {
    /// Reads the folder. Every file has to be a schema that extraction takes, as `check` says: an operator learns of a bad
    /// one when the program starts, not a person who closes a ticket.
    pub(crate) fn open(config: &SchemasConfig, check: &dyn Fn(&Value) -> Result<(), String>) -> Result<Self, Error> {
        let known = read(config, check)?;
        Ok(Self { config: config.clone(), known: RwLock::new(known) })
    }

    /// Reads the folder again; on an error everything stays as it was.
    pub(crate) fn reload(&self, check: &dyn Fn(&Value) -> Result<(), String>) -> Result<(), Error> {
        let known = read(&self.config, check)?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// The newest version of every schema that the tenant sees, by name.
    pub(crate) fn list(&self, tenant: &TenantId) -> Vec<NamedSchema> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut newest: BTreeMap<String, NamedSchema> = BTreeMap::new();
        for versions in [Some(&known.shared), known.of_tenant.get(tenant)].into_iter().flatten() {
            let mut own: BTreeMap<String, NamedSchema> = BTreeMap::new();
            for ((name, version), schema) in versions {
                let named = NamedSchema { name: name.clone(), version: *version, schema: Arc::clone(schema) };
                own.insert(name.clone(), named);
            }
            newest.extend(own);
        }
        newest.into_values().collect()
    }

    /// `close_out` is its newest version, `close_out@2` that one. A tenant's own schema of a name hides all shared ones of it.
    pub(crate) fn get(&self, tenant: &TenantId, name: &str) -> Option<NamedSchema> {
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(parse_version(version)?)),
            None => (name, None),
        };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of = |versions: &Versions| {
            let mut all = versions.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX));
            let found = match version {
                Some(version) => all.find(|((_, found), _)| *found == version),
                None => all.next_back(),
            };
            found.map(|((name, version), schema)| NamedSchema {
                name: name.clone(),
                version: *version,
                schema: Arc::clone(schema),
            })
        };
        let hides = |versions: &&Versions| versions.keys().any(|(own, _)| own == name);
        match known.of_tenant.get(tenant).filter(hides) {
            Some(own) => of(own),
            None => of(&known.shared),
        }
    }
}

fn read(config: &SchemasConfig, check: &dyn Fn(&Value) -> Result<(), String>) -> Result<Known, Error> {
    let mut known = Known::default();
    for (file, text) in SHIPPED {
        let (key, schema) = parse(file, text, check).map_err(Error::Config)?;
        known.shared.insert(key, schema);
    }
    let Some(dir) = &config.dir else { return Ok(known) };
    for path in entries(dir)? {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let tenant = TenantId::new(name.as_ref())
                .map_err(|error| Error::Config(format!("[schemas] {}: {error}", path.display())))?;
            let own = known.of_tenant.entry(tenant).or_default();
            for file in entries(&path)? {
                let (key, schema) = read_file(&file, check)?;
                own.insert(key, schema);
            }
        } else {
            let (key, schema) = read_file(&path, check)?;
            known.shared.insert(key, schema);
        }
    }
    Ok(known)
}

/// What is in a folder, sorted; hidden files (an editor's) are left out.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| Error::Config(format!("[schemas] cannot read {}: {error}", dir.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Kubernetes mounts a ConfigMap through hidden folders.
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn read_file(path: &Path, check: &dyn Fn(&Value) -> Result<(), String>) -> Result<((String, u32), Arc<Value>), Error> {
    let failed = |problem: String| Error::Config(format!("[schemas] {}: {problem}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(failed(format!("a schema has at most {MAX_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parse(&name, &text, check).map_err(failed)
}

fn parse(
    file: &str,
    text: &str,
    check: &dyn Fn(&Value) -> Result<(), String>,
) -> Result<((String, u32), Arc<Value>), String> {
    let stem = file.strip_suffix(".json").and_then(|stem| stem.split_once('@'));
    let sane =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let named = stem.filter(|(name, _)| sane(name)).and_then(|(name, version)| Some((name, parse_version(version)?)));
    let Some((name, version)) = named else {
        return Err("a schema's file is called NAME@VERSION.json, as in close_out@2.json".to_owned());
    };
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?;
    check(&schema)?;
    Ok(((name.to_owned(), version), Arc::new(schema)))
}

/// From 1, without sign or leading zero: one name for one version.
fn parse_version(text: &str) -> Option<u32> {
    let digits = !text.starts_with('0') && text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::TenantId;
    use serde_json::Value;

    use super::{Schemas, SchemasConfig};

    #[expect(clippy::unnecessary_wraps, reason = "what a check looks like")]
    fn any(_: &Value) -> Result<(), String> {
        Ok(())
    }

    fn open(dir: &std::path::Path) -> Result<Schemas, String> {
        let config = SchemasConfig { dir: Some(dir.to_owned()) };
        Schemas::open(&config, &any).map_err(|error| error.to_string())
    }

    #[test]
    fn a_tenant_sees_its_own_then_the_shared_and_never_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, title: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{{\"type\": \"object\", \"title\": \"{title}\"}}")).unwrap();
        };
        write("close_out@2.json", "shared 2");
        write("acme/close_out@1.json", "acme 1");
        write("acme/secret@1.json", "acme only");
        let schemas = open(dir.path()).unwrap();
        let (acme, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
        let title = |tenant: &TenantId, name: &str| {
            schemas.get(tenant, name).map(|found| found.schema["title"].as_str().unwrap().to_owned())
        };
        assert_eq!(title(&other, "close_out").as_deref(), Some("shared 2"));
        assert_eq!(title(&other, "close_out@1").as_deref(), Some("Closing a service ticket"));
        assert_eq!(title(&acme, "close_out").as_deref(), Some("acme 1"));
        assert_eq!(title(&acme, "close_out@2"), None, "the tenant's own versions are all there are of this name");
        assert_eq!(title(&acme, "secret").as_deref(), Some("acme only"));
        assert_eq!(title(&other, "secret"), None);
        for wrong in ["close_out@", "close_out@0", "close_out@01", "close_out@+1", "close_out@x", "", "@1"] {
            assert_eq!(title(&other, wrong), None, "{wrong}");
        }
        let names: Vec<String> = schemas.list(&other).into_iter().map(|schema| schema.name).collect();
        assert_eq!(names, ["close_out", "column_mapping", "intent", "lead_qualification"]);
        assert_eq!(schemas.list(&acme).len(), 5);

        write("intent@2.json", "newer");
        schemas.reload(&any).unwrap();
        assert_eq!(schemas.get(&other, "intent").unwrap().version, 2);
        std::fs::write(dir.path().join("intent@3.json"), "{").unwrap();
        assert!(schemas.reload(&any).is_err());
        assert_eq!(schemas.get(&other, "intent").unwrap().version, 2, "a bad file changes nothing");
    }

    #[test]
    fn a_file_that_is_no_named_schema_is_refused_by_its_name() {
        for name in ["close_out.json", "Close@1.json", "a@0.json", "a@1.txt"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(name), "{}").unwrap();
            assert!(open(dir.path()).err().unwrap().contains(name), "{name}");
        }
    }
}
