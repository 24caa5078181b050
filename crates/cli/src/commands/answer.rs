//! `rejoinder suggest`, `extract`, `search`, `show`: what the HTTP routes answer, computed here or read from a file.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use rejoinder_server::{Problem, extract as extract_route, search as search_route, suggest as suggest_route};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Outcome, open, open_without_language_model, read_input};
use crate::settings::Settings;
use crate::show;

pub(crate) async fn suggest(settings: Settings, ticket: &Path, as_json: bool) -> anyhow::Result<Outcome> {
    let input: Value = serde_json::from_str(&read_input(ticket)?).context("the ticket is not JSON")?;
    // A whole request, or only its ticket.
    let request = if input.get("ticket").is_some() { input } else { json!({ "ticket": input }) };
    let request = serde_json::from_value(request).context("the ticket is not what suggest-reply takes")?;
    let rejoinder = open(settings).await?;
    let answer = suggest_route::suggest(&rejoinder, rejoinder.default_tenant(), request).await;
    print(answer, as_json)
}

pub(crate) async fn extract(
    settings: Settings,
    schema: &Path,
    text: &Path,
    current: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let schema: Value = serde_json::from_str(&read_input(schema)?).context("the schema is not JSON")?;
    let mut request = json!({ "text": read_input(text)?, "schema": schema });
    if let (Some(path), Some(fields)) = (current, request.as_object_mut()) {
        let current: Value = serde_json::from_str(&read_input(path)?).context("the present values are not JSON")?;
        fields.insert("current".to_owned(), current);
    }
    let request = serde_json::from_value(request).context("the request is not what extract-attributes takes")?;
    let rejoinder = open(settings).await?;
    let answer = extract_route::extract(&rejoinder, rejoinder.default_tenant(), request).await;
    print(answer, as_json)
}

pub(crate) async fn search(settings: Settings, query: &str, limit: usize, as_json: bool) -> anyhow::Result<Outcome> {
    let request = serde_json::from_value(json!({ "query": query, "limit": limit }))?;
    let rejoinder = open_without_language_model(settings).await?;
    let answer = search_route::search(&rejoinder, rejoinder.default_tenant(), request).await;
    print(answer, as_json)
}

pub(crate) fn show(file: &Path) -> anyhow::Result<Outcome> {
    let answer: Value = serde_json::from_str(&read_input(file)?).context("the answer is not JSON")?;
    show::print(&answer)?;
    Ok(Outcome::Complete)
}

fn print(answer: Result<impl Serialize, Problem>, as_json: bool) -> anyhow::Result<Outcome> {
    let answer = answer.map_err(|problem| anyhow!("{}", problem.detail()))?;
    if as_json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        show::print(&serde_json::to_value(&answer)?)?;
    }
    Ok(Outcome::Complete)
}
