//! Contract documents as they stand in clusters and folders: what one version of
//! the operator wrote, every gateway of that contract version must read, and
//! write alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may")]

use std::{fs, path::Path};

use crds::contract::Document;

const KINDS: [&str; 3] = ["oauth_application", "api_key", "webhook"];

fn golden(kind: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read_to_string(folder.join(format!("{kind}.json"))).unwrap()
}

#[test]
fn a_document_is_read_and_written_byte_for_byte() {
    for kind in KINDS {
        let text = golden(kind);
        let document = Document::from_json(text.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(document.to_json()).unwrap(),
            text,
            "{kind}"
        );
    }
}

#[test]
fn a_document_of_another_version_is_refused() {
    for kind in KINDS {
        let text = golden(kind).replace("contract/v1", "contract/v2");
        let error = Document::from_json(text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("version is `flightgate.dev/contract/v2`"),
            "{error}"
        );
    }
}

#[test]
fn a_document_with_an_unknown_field_is_refused_at_each_level() {
    for kind in KINDS {
        let text = golden(kind);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let resource = document["resource"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        let mut pointers = vec![
            String::new(),
            "/resource".into(),
            format!("/resource/{resource}"),
        ];
        for list in ["secrets", "keys", "signingSecrets"] {
            let pointer = format!("/resource/{resource}/{list}/0");
            if document.pointer(&pointer).is_some() {
                pointers.push(pointer);
            }
        }
        assert_eq!(pointers.len(), 4, "{kind}");
        for pointer in pointers {
            let mut document = document.clone();
            document.pointer_mut(&pointer).unwrap()["colour"] = "blue".into();
            let bytes = serde_json::to_vec(&document).unwrap();
            assert!(Document::from_json(&bytes).is_err(), "{kind}{pointer}");
        }
    }
}

#[test]
fn no_secret_of_a_client_or_key_stands_in_a_document() {
    for kind in ["oauth_application", "api_key"] {
        let text = golden(kind);
        assert!(
            !text.contains("fg_secret_") && !text.contains("fg_pat_"),
            "{kind}"
        );
    }
}
