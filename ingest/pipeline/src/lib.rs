//! Chunk, embed, upsert: bounded, resumable ingestion with a per-item account
