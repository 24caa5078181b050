//! `GET /v1/usage`: what the tenant's calls of language models used, by time, purpose and model, and what its budgets have
//! left.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::{SignedDuration, Timestamp};
use rejoinder::{BudgetLeft, Cost, Step, UsageQuery, UsageSum};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::page::{self, Limit};
use crate::problem::Problem;
use crate::server::App;

/// How far back an answer goes where the request does not say.
const DAYS: i64 = 30;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageParameters {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    #[serde(default)]
    step: StepDto,
    cursor: Option<String>,
    #[serde(default)]
    limit: Limit,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[schema(as = Step)]
#[serde(rename_all = "snake_case")]
enum StepDto {
    Minute,
    Hour,
    #[default]
    Day,
    Month,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UsageAnswer {
    data: Vec<SumDto>,
    next_cursor: Option<String>,
    budgets: Vec<BudgetDto>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UsageSum)]
struct SumDto {
    begin: Timestamp,
    purpose: &'static str,
    provider: String,
    model: String,
    attempts: u64,
    answers: u64,
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    cost: f64,
    /// Attempts that left the machine and whose end is not known, with what is reserved for them.
    open_attempts: u64,
    open_tokens: u64,
    open_cost: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Budget)]
struct BudgetDto {
    /// The rule's place in the configuration, from 0.
    rule: usize,
    per: &'static str,
    tokens_left: Option<u64>,
    cost_left: Option<f64>,
    resets_at: Timestamp,
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    parameters: Result<Query<UsageParameters>, QueryRejection>,
) -> Result<Json<UsageAnswer>, Problem> {
    let asked = page::parameters(parameters)?;
    let to = asked.to.unwrap_or_else(Timestamp::now);
    let days = SignedDuration::from_hours(24 * DAYS);
    let from = asked.from.unwrap_or_else(|| to.checked_sub(days).unwrap_or(Timestamp::MIN));
    let query = UsageQuery { from, to, step: asked.step.into(), cursor: asked.cursor, limit: asked.limit.get()? };
    let rejoinder = app.rejoinder.clone();
    let read = move || rejoinder.usage(&tenant, &query).map(|report| (report, rejoinder.budgets(&tenant)));
    let (report, budgets) = page::blocking(read).await?;
    Ok(Json(UsageAnswer {
        data: report.sums.into_iter().map(SumDto::from).collect(),
        next_cursor: report.next,
        budgets: budgets.into_iter().map(BudgetDto::from).collect(),
    }))
}

impl From<StepDto> for Step {
    fn from(step: StepDto) -> Self {
        match step {
            StepDto::Minute => Self::Minute,
            StepDto::Hour => Self::Hour,
            StepDto::Day => Self::Day,
            StepDto::Month => Self::Month,
        }
    }
}

impl From<UsageSum> for SumDto {
    fn from(sum: UsageSum) -> Self {
        Self {
            begin: sum.begin,
            purpose: sum.purpose.as_str(),
            provider: sum.provider,
            model: sum.model,
            attempts: sum.attempts,
            answers: sum.answers,
            input_tokens: sum.input_tokens,
            cached_input_tokens: sum.cached_input_tokens,
            output_tokens: sum.output_tokens,
            cost: sum.cost.units(),
            open_attempts: sum.open_attempts,
            open_tokens: sum.open.tokens,
            open_cost: sum.open.cost.units(),
        }
    }
}

impl From<BudgetLeft> for BudgetDto {
    fn from(left: BudgetLeft) -> Self {
        Self {
            rule: left.rule,
            per: left.per.as_str(),
            tokens_left: left.tokens,
            cost_left: left.cost.map(Cost::units),
            resets_at: left.resets_at,
        }
    }
}
