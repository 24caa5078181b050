//! The page as a browser gets it.

use super::{PAGE, STYLE, page};
use crate::openapi;

#[test]
fn every_operation_and_type_has_its_place() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let html = page(&document);
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(html.contains(&format!("<section id=\"{id}\">")), "{path}");
        }
    }
    for reference in html.split("href=\"#").skip(1) {
        let target = reference.split('"').next().unwrap();
        assert!(html.contains(&format!("id=\"{target}\"")), "{target}");
    }
}

#[test]
fn nothing_comes_from_anywhere_else() {
    for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!PAGE.html.contains(outside), "{outside}");
    }
    assert!(PAGE.html.contains(&format!("<style>{STYLE}</style>")));
    assert!(PAGE.policy.to_str().unwrap().starts_with("default-src 'none'; style-src 'sha256-"));
}

#[test]
fn what_the_document_says_is_text() {
    let document =
        serde_json::json!({"info": {"description": "a <script>`x`</script> & b"}, "paths": {}, "components": {}});
    let html = page(&document);
    assert!(html.contains("a &lt;script&gt;<code>x</code>&lt;/script&gt; &amp; b"), "{html}");
}
