//! `GET /v1/schemas`, `/v1/schemas/{name}`: the attribute schemas that extract-attributes knows by name.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use rejoinder::NamedSchema;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::problem::Problem;
use crate::server::App;

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SchemaList {
    data: Vec<SchemaDto>,
    next_cursor: Option<String>,
}

/// A named schema.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SchemaDto {
    /// What `schema_name` takes; with `@` and the version it is exactly this one.
    name: String,
    version: u32,
    title: Option<String>,
    /// JSON Schema of an object.
    schema: Value,
}

pub(crate) async fn list(State(app): State<Arc<App>>, Tenant(tenant): Tenant) -> Json<SchemaList> {
    let data = app.rejoinder.schemas(&tenant).into_iter().map(SchemaDto::from).collect();
    Json(SchemaList { data, next_cursor: None })
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
) -> Result<Json<SchemaDto>, Problem> {
    let found = app.rejoinder.schema(&tenant, &name).ok_or_else(|| Problem::no_such("schema"))?;
    Ok(Json(found.into()))
}

impl From<NamedSchema> for SchemaDto {
    fn from(named: NamedSchema) -> Self {
        let title = named.schema.get("title").and_then(Value::as_str).map(str::to_owned);
        Self { name: named.name, version: named.version, title, schema: (*named.schema).clone() }
    }
}
