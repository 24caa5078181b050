//! The document against the code, and against the one that is checked in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rejoinder::{Config, Rejoinder, TenantId};

use super::{all, document, openapi};
use crate::{Server, ServerConfig};

/// The document that is checked in; what changes in it is looked at by a person.
#[test]
fn it_is_the_one_that_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = openapi().unwrap() + "\n";
    if std::env::var_os("REJOINDER_UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == now,
        "the API has changed: look at the difference after `REJOINDER_UPDATE_OPENAPI=1 cargo test -p rejoinder-server \
         openapi`, which writes crates/server/openapi.json, and commit it"
    );
}

/// Two types of one name would overwrite each other.
#[test]
fn a_name_stands_for_one_type() {
    let mut known = BTreeMap::new();
    for mut route in all() {
        route.operation();
        for (name, schema) in route.schemas {
            let text = serde_json::to_string(&schema).unwrap();
            let first = known.entry(name.clone()).or_insert_with(|| text.clone());
            assert_eq!(*first, text, "{name}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
    let document = serde_json::to_value(document()).unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(document["openapi"], "3.1.0");
}

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// axum does not list its routes, but its debug text does; what a route takes, `Allow` tells.
#[tokio::test]
async fn every_route_is_in_the_document_and_the_other_way_round() {
    let folder = Folder(std::env::temp_dir().join(format!("rejoinder-openapi-{}", std::process::id())));
    let config = Config::new(TenantId::new("acme").unwrap(), &folder.0);
    let rejoinder = Rejoinder::open(config).await.unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(rejoinder, ServerConfig { listen, ..ServerConfig::default() }).await.unwrap();
    let router = server.routes();
    let text = format!("{router:?}");
    let paths: BTreeSet<String> = text.split('"').filter(|part| part.starts_with('/')).map(str::to_owned).collect();
    let service = TowerToHyperService::new(router);
    let mut answered = BTreeSet::new();
    for path in paths {
        let asked = path.replace("{*", "{").replace(['{', '}'], "");
        let request = Request::patch(asked).body(Body::empty()).unwrap();
        let response = service.call(request).await.unwrap();
        // What answers where no route is has a path in there as well.
        if response.status() == StatusCode::NOT_FOUND {
            continue;
        }
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allow = response.headers()[header::ALLOW].to_str().unwrap();
        for method in allow.split(',').filter(|method| *method != "HEAD") {
            answered.insert(format!("{method} {}", path.replace("{*", "{")));
        }
    }
    let documented: BTreeSet<String> =
        all().iter().map(|route| format!("{} {}", route.http_method(), route.path_template())).collect();
    assert_eq!(answered, documented);
}
