//! An AI sidecar for a CRM: mail in, suggested replies with citations out
