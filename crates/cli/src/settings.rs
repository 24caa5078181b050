//! Where the configuration comes from: a file, else the defaults that are shipped; then the command line's overrides.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rejoinder::{Config, LanguageConfig};
use rejoinder_server::ServerConfig;
use serde::Deserialize;

use crate::args::Global;

/// The shipped configuration, which says what every value means.
const DEFAULT: &str = include_str!("../../../config/default.toml");

/// The library's configuration and the server's, which share one file.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) library: Config,
    pub(crate) server: ServerConfig,
    pub(crate) file: Option<PathBuf>,
}

/// Reads, overrides and validates.
pub(crate) fn load(global: &Global) -> anyhow::Result<Settings> {
    let mut settings = match &global.config {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration {}", path.display()))?;
            parse(&text).with_context(|| format!("in {}", path.display()))?
        }
        None => parse(DEFAULT).context("in the shipped configuration")?,
    };
    settings.file.clone_from(&global.config);
    if let Some(data_dir) = &global.data_dir {
        settings.library.data_dir.clone_from(data_dir);
    }
    if let Some(tenant) = &global.tenant {
        settings.library.tenant = tenant.clone();
    }
    if let Some(model) = &global.language_model {
        let is_file = Path::new(model).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        let language = &mut settings.library.models.language;
        language.path = is_file.then(|| PathBuf::from(model));
        language.model = if is_file { LanguageConfig::AUTO.to_owned() } else { model.clone() };
    }
    let language = &mut settings.library.models.language;
    language.path = language.path.as_deref().map(expand_home).transpose()?;
    settings.library.data_dir = expand_home(&settings.library.data_dir)?;
    settings.library.models.dir = settings.library.models.dir.as_deref().map(expand_home).transpose()?;
    settings.library.validate()?;
    // Whether there are credentials is known when the server is bound.
    if let Err(problem) = settings.server.validate(true) {
        bail!("[server] {problem}");
    }
    Ok(settings)
}

fn parse(text: &str) -> anyhow::Result<Settings> {
    let mut table: toml::Table = text.parse()?;
    let server = match table.remove("server") {
        Some(section) => ServerConfig::deserialize(section).context("[server]")?,
        None => ServerConfig::default(),
    };
    let library = Config::deserialize(toml::Value::Table(table))?;
    Ok(Settings { library, server, file: None })
}

/// `~/` at the start is the home folder, as people write it in configuration files.
fn expand_home(path: &Path) -> anyhow::Result<PathBuf> {
    let Ok(rest) = path.strip_prefix("~") else {
        return Ok(path.to_owned());
    };
    let home = std::env::var_os("HOME").context("the configuration uses ~ but HOME is not set")?;
    Ok(PathBuf::from(home).join(rest))
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, parse};

    #[test]
    fn the_shipped_file_says_what_the_code_defaults_to() {
        let shipped = parse(DEFAULT).unwrap();
        let bare = parse("tenant = \"local\"").unwrap();
        assert_eq!(format!("{:#?}", shipped.library), format!("{:#?}", bare.library));
        assert_eq!(format!("{:#?}", shipped.server), format!("{:#?}", bare.server));
    }

    #[test]
    fn a_misspelt_key_is_refused_by_name() {
        for text in ["tenant = \"a\"\n[server]\nlisen = \"127.0.0.1:1\"", "tenant = \"a\"\n[assist]\nweight = 1"] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains("lisen") || error.contains("weight"), "{error}");
        }
    }

    #[test]
    fn a_tenant_is_never_assumed() {
        assert!(format!("{:#}", parse("").unwrap_err()).contains("tenant"));
    }
}
