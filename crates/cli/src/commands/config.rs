//! `rejoinder config check`: what is in force, after the file and the command line.

use anyhow::anyhow;
use serde_json::json;

use super::Outcome;
use crate::settings::Settings;

/// The configuration was validated when it was loaded; this prints it.
pub(crate) fn check(settings: &Settings, as_json: bool) -> anyhow::Result<Outcome> {
    // As at the start of the server: without a key or an issuer only this machine may reach it.
    let credentials = !settings.server.auth.issuers.is_empty() || settings.library.keys_path().exists();
    settings.server.validate(credentials).map_err(|problem| anyhow!("[server] {problem}"))?;
    let file =
        settings.file.as_ref().map_or_else(|| "the shipped defaults".to_owned(), |path| path.display().to_string());
    if as_json {
        let in_force = json!({
            "file": file,
            "valid": true,
            "tenant": settings.library.tenant.as_str(),
            "data_dir": settings.library.data_dir,
            "embedder": settings.library.models.embedder,
            "own_domains": settings.library.ownership.domains,
            "listen": settings.server.listen,
        });
        println!("{in_force}");
    } else {
        println!("valid: {file}");
        println!("  tenant    {}", settings.library.tenant);
        println!("  data      {}", settings.library.data_dir.display());
        println!("  embedder  {}", settings.library.models.embedder);
        println!("  own mail  {}", described(&settings.library.ownership.domains));
        println!("  listen    {}", settings.server.listen);
    }
    Ok(Outcome::Complete)
}

fn described(domains: &[String]) -> String {
    if domains.is_empty() {
        "inferred from Sent folders and owners; set [ownership] domains to be sure".to_owned()
    } else {
        domains.join(", ")
    }
}
