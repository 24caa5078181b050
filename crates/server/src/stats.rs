//! `GET /v1/stats`: what people made of the suggestions, and which questions nothing was found for.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use rejoinder::{KnowledgeGap, OutcomeCounts, SourceCounts, Stats};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::page;
use crate::problem::Problem;
use crate::server::App;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsParameters {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// The answer's body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsAnswer {
    suggestions: u64,
    outcomes: CountsDto,
    /// The share of those with an outcome that were sent as they were, 0 to 1; null where there is none.
    acceptance_rate: Option<f64>,
    /// The share of those with an outcome that were sent changed.
    edit_rate: Option<f64>,
    edit_classes: BTreeMap<&'static str, u64>,
    by_provider: Vec<NamedCountsDto>,
    /// By the mailbox that the first draft rests on most.
    by_source: Vec<SourceCountsDto>,
    by_day: Vec<NamedCountsDto>,
    /// Suggestions without a draft.
    nothing_found: u64,
    knowledge_gaps: Vec<GapDto>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CountsDto {
    accepted: u64,
    edited: u64,
    rejected: u64,
    /// Without an outcome so far.
    open: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct NamedCountsDto {
    name: String,
    #[serde(flatten)]
    counts: CountsDto,
}

#[derive(Debug, Serialize, ToSchema)]
struct SourceCountsDto {
    /// Null for suggestions that rest on no mail, or on mail whose mailbox is not there any more.
    mailbox: Option<String>,
    /// Empty where `mailbox` is null.
    name: String,
    #[serde(flatten)]
    counts: CountsDto,
}

/// Questions about the same matter that no earlier reply answers.
#[derive(Debug, Serialize, ToSchema)]
struct GapDto {
    /// The words that they share.
    terms: Vec<String>,
    questions: u64,
    /// Ids of suggestions, newest first.
    examples: Vec<String>,
    last_asked_at: Timestamp,
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    parameters: Result<Query<StatsParameters>, QueryRejection>,
) -> Result<Json<StatsAnswer>, Problem> {
    let asked = page::parameters(parameters)?;
    if let (Some(since), Some(until)) = (asked.since, asked.until)
        && since >= until
    {
        return Err(Problem::parameter("until", "it must be later than since"));
    }
    let stats = app.rejoinder.stats(&tenant, asked.since, asked.until).await;
    Ok(Json(stats.map_err(|error| Problem::from_library(&error))?.into()))
}

impl From<Stats> for StatsAnswer {
    fn from(stats: Stats) -> Self {
        let named = |counts: Vec<(String, OutcomeCounts)>| {
            counts.into_iter().map(|(name, counts)| NamedCountsDto { name, counts: counts.into() }).collect()
        };
        Self {
            suggestions: stats.outcomes.suggestions(),
            acceptance_rate: stats.outcomes.acceptance_rate(),
            edit_rate: stats.outcomes.edit_rate(),
            outcomes: stats.outcomes.into(),
            edit_classes: stats.edit_classes.into_iter().map(|(class, count)| (class.as_str(), count)).collect(),
            by_provider: named(stats.by_provider),
            by_source: stats.by_source.into_iter().map(SourceCountsDto::from).collect(),
            by_day: named(stats.by_day.into_iter().map(|(day, counts)| (day.to_string(), counts)).collect()),
            nothing_found: stats.not_found,
            knowledge_gaps: stats.knowledge_gaps.into_iter().map(GapDto::from).collect(),
        }
    }
}

impl From<SourceCounts> for SourceCountsDto {
    fn from(source: SourceCounts) -> Self {
        Self {
            mailbox: source.mailbox.map(|id| id.as_str().to_owned()),
            name: source.name,
            counts: source.counts.into(),
        }
    }
}

impl From<OutcomeCounts> for CountsDto {
    fn from(counts: OutcomeCounts) -> Self {
        Self { accepted: counts.accepted, edited: counts.edited, rejected: counts.rejected, open: counts.open }
    }
}

impl From<KnowledgeGap> for GapDto {
    fn from(gap: KnowledgeGap) -> Self {
        Self { terms: gap.terms, questions: gap.questions, examples: gap.examples, last_asked_at: gap.last_asked }
    }
}
