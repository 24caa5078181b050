//! Which collections there are, and making them.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    CollectionInfo, CollectionStatus, CreateCollection, CreateFieldIndexCollection, Distance, FieldType,
    HnswConfigDiff, IntegerIndexParams, KeywordIndexParams, OptimizersConfigDiff, PayloadIndexParams,
    SparseIndexConfig, SparseVectorConfig, SparseVectorParams, Value, VectorParams, VectorParamsMap, VectorsConfig,
    payload_index_params, value, vectors_config,
};
use rejoinder_domain::{ErrorKind, SeamError};

use super::calls::{Server, is_missing, is_there_already};
use super::config::{Part, QdrantConfig};
use super::points::{DENSE, WORDS, key};
use crate::sealing::Seal;
use crate::space::{EmbeddingSpace, is_space_name, space_name};

/// Version of the layout. A collection of another version is not used.
const LAYOUT: &str = "1";
/// Between prefix and space. No prefix has it, so one installation's prefix is never another's.
const SEPARATOR: char = '_';

/// Metadata of a collection.
mod metadata {
    pub(super) const LAYOUT: &str = "rejoinder_layout";
    pub(super) const EMBEDDER: &str = "rejoinder_embedder";
    pub(super) const AVERAGE_TERMS: &str = "rejoinder_average_terms";
    pub(super) const ENCRYPTED: &str = "rejoinder_encrypted";
}

/// Deleted records as a share of a segment, and records of a segment, from which the server writes it anew without them.
/// Lower than its defaults (a fifth and 1,000), because what is deleted here should go.
const VACUUM_FROM_SHARE: f64 = 0.05;
const VACUUM_FROM_RECORDS: u64 = 100;

/// Fields that filters name: of keywords, and of numbers that are compared.
const KEYWORDS: [&str; 6] =
    [key::POOL, key::MESSAGE, key::REPLY_MESSAGE, key::MAILBOXES, key::DIRECTION, key::PARTICIPANTS];
const NUMBERS: [&str; 2] = [key::SENT_SECONDS, key::SENT_NANOS];

/// The collection of an embedding model.
pub(super) fn name(config: &QdrantConfig, space: Option<&EmbeddingSpace>) -> String {
    format!("{}{SEPARATOR}{}", config.prefix, space_name(space))
}

/// The names of all collections of this installation.
pub(super) async fn names(server: &Server, config: &QdrantConfig) -> Result<Vec<String>, SeamError> {
    let all = server.call("listing collections", |client| async move { client.list_collections().await }).await?;
    let ours = |name: &String| {
        name.split_once(SEPARATOR).is_some_and(|(prefix, space)| prefix == config.prefix && is_space_name(space))
    };
    Ok(all.collections.into_iter().map(|collection| collection.name).filter(ours).collect())
}

/// Makes the collection where there is none, and what it lacks of its indexes; refuses one of another layout.
pub(super) async fn ensure(
    server: &Server,
    config: &QdrantConfig,
    space: Option<&EmbeddingSpace>,
    seal: &Seal,
) -> Result<(), SeamError> {
    let name = name(config, space);
    let mut found = info(server, &name).await?;
    if found.is_none() {
        create(server, config, space, seal).await?;
        found = info(server, &name).await?;
    }
    let info = found.ok_or_else(|| {
        SeamError::new(ErrorKind::Transient, format!("the collection {name} went while it was being made"))
    })?;
    check(&info, &name, config, space, seal)?;
    for (field, params) in indexes(config) {
        if !info.payload_schema.contains_key(field) {
            make_index(server, &name, field, params).await?;
        }
    }
    Ok(())
}

/// How the server has the collection, or `None` where it has none.
async fn info(server: &Server, name: &str) -> Result<Option<CollectionInfo>, SeamError> {
    let asked =
        server.call("reading a collection's layout", |client| async move { client.collection_info(name).await });
    match asked.await {
        Ok(answer) => Ok(answer.result),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a person should know of how the server has the collection, though it answers.
pub(super) async fn warning(server: &Server, name: &str) -> Result<Option<String>, SeamError> {
    let Some(info) = info(server, name).await? else {
        return Ok(Some(format!("the collection {name} is not there any more")));
    };
    // Yellow is work in the background; grey is work that waits for the next write.
    Ok((info.status() == CollectionStatus::Red).then(|| format!("the server has failed to optimise {name}")))
}

async fn create(
    server: &Server,
    config: &QdrantConfig,
    space: Option<&EmbeddingSpace>,
    seal: &Seal,
) -> Result<(), SeamError> {
    let request = layout(config, space, seal);
    let made = server.call("making a collection", |client| {
        let request = request.clone();
        async move {
            match client.create_collection(request).await {
                // Another process was first, or the answer to a first try was lost.
                Err(error) if is_there_already(&error) => Ok(()),
                result => result.map(drop),
            }
        }
    });
    made.await
}

/// The request for a new collection.
#[expect(deprecated, reason = "servers before 1.19 know the placement of data by these fields alone")]
fn layout(config: &QdrantConfig, space: Option<&EmbeddingSpace>, seal: &Seal) -> CreateCollection {
    let text = |value: String| Value { kind: Some(value::Kind::StringValue(value)) };
    let mut metadata = HashMap::from([
        (metadata::LAYOUT.to_owned(), text(LAYOUT.to_owned())),
        (metadata::AVERAGE_TERMS.to_owned(), text(config.average_terms.to_string())),
        (metadata::ENCRYPTED.to_owned(), text(seal.is_sealing().to_string())),
    ]);
    if let Some(space) = space {
        metadata.insert(metadata::EMBEDDER.to_owned(), text(space.id.clone()));
    }
    let dense = space.map(|space| {
        let params = VectorParams {
            size: space.dims as u64,
            // Vectors have length 1, for which this is the cosine. The server's own cosine would scale them first, and what it
            // gives back would not be what was written.
            distance: Distance::Dot as i32,
            on_disk: Some(config.is_on_disk(Part::Vectors)),
            ..VectorParams::default()
        };
        (DENSE.to_owned(), params)
    });
    let words = SparseVectorParams {
        index: Some(SparseIndexConfig {
            on_disk: Some(config.is_on_disk(Part::Indexes)),
            ..SparseIndexConfig::default()
        }),
        // The inverse document frequency is in the query; see `statistics`.
        modifier: None,
    };
    CreateCollection {
        collection_name: name(config, space),
        // No graph over all tenants' vectors, which no search could use: one for each tenant, or none.
        hnsw_config: Some(HnswConfigDiff {
            m: Some(0),
            payload_m: Some(if config.exact { 0 } else { 16 }),
            ..HnswConfigDiff::default()
        }),
        optimizers_config: Some(OptimizersConfigDiff {
            deleted_threshold: Some(VACUUM_FROM_SHARE),
            vacuum_min_vector_number: Some(VACUUM_FROM_RECORDS),
            ..OptimizersConfigDiff::default()
        }),
        shard_number: config.shards,
        on_disk_payload: Some(config.is_on_disk(Part::Texts)),
        vectors_config: Some(VectorsConfig {
            config: Some(vectors_config::Config::ParamsMap(VectorParamsMap { map: dense.into_iter().collect() })),
        }),
        replication_factor: Some(config.replication_factor),
        write_consistency_factor: Some(config.write_consistency_factor),
        sparse_vectors_config: Some(SparseVectorConfig { map: HashMap::from([(WORDS.to_owned(), words)]) }),
        metadata,
        ..CreateCollection::default()
    }
}

/// Refuses a collection that this configuration would misread.
fn check(
    info: &CollectionInfo,
    name: &str,
    config: &QdrantConfig,
    space: Option<&EmbeddingSpace>,
    seal: &Seal,
) -> Result<(), SeamError> {
    let place = format!("the collection {name}");
    let corrupt = |what: String| Err(SeamError::new(ErrorKind::Corrupt, format!("{place} {what}")));
    let found = info.config.as_ref();
    let metadata = |key: &str| match found.and_then(|config| config.metadata.get(key)).and_then(|v| v.kind.as_ref()) {
        Some(value::Kind::StringValue(text)) => Some(text.as_str()),
        _ => None,
    };
    if metadata(metadata::LAYOUT) != Some(LAYOUT) {
        return corrupt(format!(
            "has layout version {}, this program reads version {LAYOUT}: remove the collection and ingest again, or use \
             the program version that wrote it",
            metadata(metadata::LAYOUT).unwrap_or("unknown")
        ));
    }
    let params = found.and_then(|config| config.params.as_ref());
    let vectors = params.and_then(|params| params.vectors_config.as_ref()).and_then(|config| config.config.as_ref());
    let dense = match vectors {
        Some(vectors_config::Config::ParamsMap(map)) => map.map.get(DENSE),
        _ => None,
    };
    let fits = match (dense, space) {
        (Some(found), Some(space)) => {
            found.size == space.dims as u64
                && found.distance == Distance::Dot as i32
                && metadata(metadata::EMBEDDER) == Some(&space.id)
        }
        (None, None) => true,
        _ => false,
    };
    let words = params.and_then(|params| params.sparse_vectors_config.as_ref()).and_then(|map| map.map.get(WORDS));
    if !fits || words.is_none_or(|words| words.modifier.unwrap_or_default() != 0) {
        return corrupt("was not made by this program for this embedder: remove it, or set another prefix".to_owned());
    }
    let average = metadata(metadata::AVERAGE_TERMS).unwrap_or_default();
    if average != config.average_terms.to_string() {
        return Err(SeamError::new(
            ErrorKind::Invalid,
            format!("{place} was made with average_terms = {average}: configure that, or remove it and ingest again"),
        ));
    }
    seal.check(&place, metadata(metadata::ENCRYPTED) == Some("true"))
}

/// Every index of a field, with its kind.
#[expect(deprecated, reason = "servers before 1.19 know the placement of data by these fields alone")]
fn indexes(config: &QdrantConfig) -> impl Iterator<Item = (&'static str, payload_index_params::IndexParams)> {
    use payload_index_params::IndexParams::{IntegerIndexParams as Integer, KeywordIndexParams as Keyword};
    let on_disk = Some(config.is_on_disk(Part::Indexes));
    let keyword = move |is_tenant| {
        Keyword(KeywordIndexParams { is_tenant: Some(is_tenant), on_disk, ..KeywordIndexParams::default() })
    };
    let integer = move |lookup, range| {
        Integer(IntegerIndexParams {
            lookup: Some(lookup),
            range: Some(range),
            on_disk,
            ..IntegerIndexParams::default()
        })
    };
    [(key::TENANT, keyword(true)), (key::TERMS, integer(true, false))]
        .into_iter()
        .chain(KEYWORDS.map(|field| (field, keyword(false))))
        .chain(NUMBERS.map(|field| (field, integer(true, true))))
}

async fn make_index(
    server: &Server,
    name: &str,
    field: &str,
    params: payload_index_params::IndexParams,
) -> Result<(), SeamError> {
    let field_type = match params {
        payload_index_params::IndexParams::KeywordIndexParams(_) => FieldType::Keyword,
        _ => FieldType::Integer,
    };
    let request = CreateFieldIndexCollection {
        collection_name: name.to_owned(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(field_type as i32),
        field_index_params: Some(PayloadIndexParams { index_params: Some(params) }),
        ..CreateFieldIndexCollection::default()
    };
    let made = server.call("making an index", |client| {
        let request = request.clone();
        async move { client.create_field_index(request).await }
    });
    made.await.map(drop)
}
