//! Local models of Rejoinder: embedders, manifest, download
