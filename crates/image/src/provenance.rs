//! Provenance: what something was built from and by what, as a statement of in-toto with SLSA's predicate, version 1.
//!
//! What enters: facts that are the same whenever the same thing is built. What leaves: a statement that is the same too;
//! it has no times and no names of machines. Whoever signs it adds those.

use std::collections::BTreeMap;

use cache::Digest;
use serde::Serialize;
use serde_json::Value;

use crate::manifest::to_bytes;

/// The type of the statement (in-toto attestation framework 1.0).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The type of what it says (SLSA 1.0).
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// How artifacts are built by this project: [`Facts::parameters`] are the recipe and the options of `build`, and the
/// dependencies those of the lock.
pub const BUILD_TYPE: &str = "https://github.com/oomol/ovmlayer-rootfs/build/v1";

/// What is known of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What was built, by name: files, or images by their manifests.
    pub subjects: BTreeMap<String, Digest>,
    /// What was asked for: the recipe and the options that change the result.
    pub parameters: BTreeMap<String, Value>,
    /// What it was made of.
    pub dependencies: Vec<Dependency>,
    /// Who vouches for the build: an address that means this way of building, such as that of a workflow.
    pub builder: String,
    /// The programs that built it, by name, with their versions.
    pub versions: BTreeMap<String, String>,
}

/// One thing that a build used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// Its package URL or address.
    pub uri: String,
    /// Its name for people.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'f> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Resource<'f>>,
    predicate_type: &'static str,
    predicate: Predicate<'f>,
}

#[derive(Debug, Serialize)]
struct Resource<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'f str>,
    name: &'f str,
    digest: Sha256,
}

#[derive(Debug, Serialize)]
struct Sha256 {
    sha256: Digest,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'f> {
    build_definition: Definition<'f>,
    run_details: Run<'f>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Definition<'f> {
    build_type: &'static str,
    external_parameters: &'f BTreeMap<String, Value>,
    resolved_dependencies: Vec<Resource<'f>>,
}

#[derive(Debug, Serialize)]
struct Run<'f> {
    builder: Builder<'f>,
}

#[derive(Debug, Serialize)]
struct Builder<'f> {
    id: &'f str,
    version: &'f BTreeMap<String, String>,
}

/// The statement as JSON, with a line feed at its end. Dependencies are sorted; those that are there twice count once.
#[must_use]
pub fn statement(facts: &Facts) -> Vec<u8> {
    let mut dependencies: Vec<&Dependency> = facts.dependencies.iter().collect();
    dependencies.sort_unstable();
    dependencies.dedup();
    let statement = Statement {
        kind: STATEMENT,
        subject: facts
            .subjects
            .iter()
            .map(|(name, digest)| Resource { uri: None, name, digest: Sha256 { sha256: *digest } })
            .collect(),
        predicate_type: PREDICATE,
        predicate: Predicate {
            build_definition: Definition {
                build_type: BUILD_TYPE,
                external_parameters: &facts.parameters,
                resolved_dependencies: dependencies
                    .into_iter()
                    .map(|one| Resource {
                        uri: Some(&one.uri),
                        name: &one.name,
                        digest: Sha256 { sha256: one.digest },
                    })
                    .collect(),
            },
            run_details: Run { builder: Builder { id: &facts.builder, version: &facts.versions } },
        },
    };
    let mut bytes = to_bytes(&statement);
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let dependency = |name: &str| Dependency {
            uri: format!("pkg:deb/debian/{name}@1"),
            name: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
        };
        Facts {
            subjects: [("amd64-rootfs.tar".to_owned(), Digest::of(b"tar"))].into(),
            parameters: [("recipe".to_owned(), Value::from("base-rootfs"))].into(),
            dependencies: vec![dependency("zsh"), dependency("bash"), dependency("zsh")],
            builder: "https://example.org/builder".to_owned(),
            versions: [("ovmlayer-rootfs".to_owned(), "0.1.0".to_owned())].into(),
        }
    }

    #[test]
    fn a_statement_says_what_slsa_wants() {
        let value: Value = serde_json::from_slice(&statement(&facts())).unwrap();
        assert_eq!(value["_type"], STATEMENT);
        assert_eq!(value["predicateType"], PREDICATE);
        assert_eq!(value["subject"][0]["digest"]["sha256"], Digest::of(b"tar").to_string());
        let definition = &value["predicate"]["buildDefinition"];
        assert_eq!(definition["externalParameters"]["recipe"], "base-rootfs");
        let names: Vec<_> = definition["resolvedDependencies"].as_array().unwrap().iter().collect();
        assert_eq!(names.len(), 2, "each once");
        assert_eq!(names[0]["name"], "bash", "sorted");
        assert_eq!(value["predicate"]["runDetails"]["builder"]["version"]["ovmlayer-rootfs"], "0.1.0");
    }

    /// Changing these bytes changes what is attached to images that are built again.
    #[test]
    fn digest_stability() {
        let digest = Digest::of(&statement(&facts())).to_string();
        assert_eq!(digest, "0629e02e79a04567299332cb148832cfbe12c38c52e02d0f5c69bf023d3bef38");
    }
}
