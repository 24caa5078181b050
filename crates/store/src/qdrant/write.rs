//! Upserting, deleting and erasing.

use qdrant_client::qdrant::{
    DeletePoints, Filter as Conditions, PointStruct, PointsOperationResponse, PointsSelector, UpdateStatus,
    UpsertPoints, points_selector,
};
use rejoinder_domain::{EraseScope, ErrorKind, Pool, Record, RecordId, SeamError, TenantId};

use super::QdrantStore;
use super::points::{Place, Sized};
use super::statistics::Counter;
use super::{collections, filter};
use crate::records::{check_records, last_of_each_id};

/// Ids of one condition.
const IDS_PER_CALL: usize = 1_000;
/// How far the length of a vector may be from 1.
const LENGTH_TOLERANCE: f32 = 0.01;

impl QdrantStore {
    pub(super) async fn upsert_records(
        &self,
        tenant: &TenantId,
        pool: Pool,
        records: Vec<Record>,
    ) -> Result<(), SeamError> {
        check_records(&records, pool, self.embedding.as_ref().map(|space| space.dims))?;
        check_lengths(&records)?;
        let records = last_of_each_id(records);
        if records.is_empty() {
            return Ok(());
        }
        let place = Place::new(tenant, pool);
        // Analysing and sealing the text is work for a processor, which must not hold up the tasks that wait for input.
        let encode = {
            let (place, seal, average_terms) = (place.clone(), self.seal.clone(), self.config.average_terms);
            move || -> Result<Vec<Sized>, SeamError> {
                let seal = seal.of(&place.tenant)?;
                let point = |record: Record| {
                    let terms = seal.index_terms(&record);
                    Ok(place.point(seal.seal(record)?, &terms, average_terms))
                };
                records.into_iter().map(point).collect()
            }
        };
        let points = tokio::task::spawn_blocking(encode).await.map_err(|error| {
            SeamError::new(ErrorKind::Internal, "the task that encodes records ended early").caused_by(error)
        })??;
        let turn = self.turns.of(&place);
        let _turn = turn.lock().await;
        for batch in batches(points, self.config.batch_bytes, self.config.batch_records) {
            let written = self.upsert_points(batch).await;
            self.statistics.forget(&place);
            written?;
        }
        Ok(())
    }

    async fn upsert_points(&self, points: Vec<PointStruct>) -> Result<(), SeamError> {
        let doing = "writing records";
        let request = UpsertPoints {
            collection_name: self.collection.clone(),
            wait: Some(true),
            points,
            ..UpsertPoints::default()
        };
        let written = self.server.call(doing, |client| {
            let request = request.clone();
            async move { client.upsert_points(request).await }
        });
        done(&written.await?, doing)
    }

    pub(super) async fn delete_records(
        &self,
        tenant: &TenantId,
        pool: Pool,
        ids: &[RecordId],
    ) -> Result<u64, SeamError> {
        let place = Place::new(tenant, pool);
        let turn = self.turns.of(&place);
        let _turn = turn.lock().await;
        let mut deleted = 0;
        for some in ids.chunks(IDS_PER_CALL) {
            deleted += self.delete_where(self.counter(), filter::with_ids(&place, some)).await?;
        }
        self.statistics.forget(&place);
        Ok(deleted)
    }

    pub(super) async fn erase_records(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        let mut erased = 0;
        for conditions in conditions_of(tenant, scope) {
            erased += self.erase_where(tenant, &conditions).await?;
        }
        Ok(erased)
    }

    pub(super) async fn remaining_records(&self, tenant: &TenantId, scope: &EraseScope) -> Result<u64, SeamError> {
        let mut remaining = 0;
        for name in collections::names(&self.server, &self.config).await? {
            for conditions in conditions_of(tenant, scope) {
                remaining += self.in_collection(&name).count(conditions).await?;
            }
        }
        Ok(remaining)
    }

    /// Deletes from the collections of every embedder.
    async fn erase_where(&self, tenant: &TenantId, conditions: &Conditions) -> Result<u64, SeamError> {
        let places = Pool::ALL.map(|pool| Place::new(tenant, pool));
        let turns = places.each_ref().map(|place| self.turns.of(place));
        let mut held = Vec::new();
        for turn in &turns {
            held.push(turn.lock().await);
        }
        let mut erased = 0;
        for name in collections::names(&self.server, &self.config).await? {
            erased += self.delete_where(self.in_collection(&name), conditions.clone()).await?;
        }
        for place in &places {
            self.statistics.forget(place);
        }
        Ok(erased)
    }

    pub(super) async fn drop_spaces(&self, tenant: &TenantId) -> Result<u64, SeamError> {
        let mut dropped = 0;
        for name in collections::names(&self.server, &self.config).await? {
            if name == self.collection {
                continue;
            }
            for pool in Pool::ALL {
                let conditions = filter::of_place(&Place::new(tenant, pool), &rejoinder_domain::Filter::default());
                if self.delete_where(self.in_collection(&name), conditions).await? > 0 {
                    dropped += 1;
                }
            }
        }
        Ok(dropped)
    }

    fn in_collection<'a>(&'a self, name: &'a str) -> Counter<'a> {
        Counter { collection: name, ..self.counter() }
    }

    /// Deletes what the conditions hold for, counts that nothing of it is left, and returns how many there were.
    async fn delete_where(&self, place: Counter<'_>, conditions: Conditions) -> Result<u64, SeamError> {
        let there = place.count(conditions.clone()).await?;
        if there == 0 {
            return Ok(0);
        }
        let doing = "deleting records";
        let selector = points_selector::PointsSelectorOneOf::Filter(conditions.clone());
        let request = DeletePoints {
            collection_name: place.collection.to_owned(),
            wait: Some(true),
            points: Some(PointsSelector { points_selector_one_of: Some(selector) }),
            ..DeletePoints::default()
        };
        let deleted = self.server.call(doing, |client| {
            let request = request.clone();
            async move { client.delete_points(request).await }
        });
        done(&deleted.await?, doing)?;
        let left = place.count(conditions).await?;
        if left > 0 {
            return Err(SeamError::new(
                ErrorKind::Transient,
                format!(
                    "{left} of {there} records are there after they were deleted: another process writes them; try again"
                ),
            ));
        }
        Ok(there)
    }
}

/// What `scope` names, in as many conditions as it takes.
fn conditions_of(tenant: &TenantId, scope: &EraseScope) -> Vec<Conditions> {
    match scope {
        EraseScope::Messages(messages) => {
            messages.chunks(IDS_PER_CALL).map(|some| filter::of_messages(tenant, some)).collect()
        }
        EraseScope::Tenant => vec![filter::of_tenant(tenant)],
    }
}

/// Refuses vectors that are not of length 1: the store's similarity would not be the cosine.
fn check_lengths(records: &[Record]) -> Result<(), SeamError> {
    for record in records {
        let Some(vector) = &record.vector else { continue };
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        // A text that says nothing to a model may have a vector of zeros, which is like nothing.
        if length > 0.0 && (length - 1.0).abs() > LENGTH_TOLERANCE {
            return Err(SeamError::new(
                ErrorKind::Invalid,
                format!("the vector of record {} has length {length}; embedders give vectors of length 1", record.id),
            ));
        }
    }
    Ok(())
}

/// Points in batches of so many bytes and points at most; one that is larger is alone.
fn batches(points: Vec<Sized>, most_bytes: usize, most_points: usize) -> Vec<Vec<PointStruct>> {
    let mut batches: Vec<Vec<PointStruct>> = Vec::new();
    let mut room = 0;
    for Sized { point, bytes } in points {
        match batches.last_mut() {
            Some(batch) if bytes <= room && batch.len() < most_points => {
                room -= bytes;
                batch.push(point);
            }
            _ => {
                room = most_bytes.saturating_sub(bytes);
                batches.push(vec![point]);
            }
        }
    }
    batches
}

/// Whether the server has done it, which `wait` asks for, and not only noted it.
fn done(response: &PointsOperationResponse, doing: &str) -> Result<(), SeamError> {
    match response.result.map(|result| result.status()) {
        Some(UpdateStatus::Completed) => Ok(()),
        status => Err(SeamError::new(
            ErrorKind::Transient,
            format!("Qdrant did not finish {doing}: its status is {}", status.map_or("missing", |s| s.as_str_name())),
        )),
    }
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::PointStruct;

    use super::{Sized, batches};

    #[test]
    fn batches_are_bounded_and_lose_nothing() {
        let points =
            |sizes: &[usize]| sizes.iter().map(|&bytes| Sized { point: PointStruct::default(), bytes }).collect();
        let lengths = |sizes: &[usize]| batches(points(sizes), 10, 3).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[4, 4, 4]), [2, 1]);
        assert_eq!(lengths(&[1, 1, 1, 1]), [3, 1]);
        assert_eq!(lengths(&[99, 1, 99, 99]), [1, 1, 1, 1]);
        assert_eq!(lengths(&[5, 5, 5]), [2, 1]);
    }
}
