//! CycloneDX 1.6.

use cache::Hasher;
use serde::Serialize;

use super::text::{address, plain, short, time, uuid};
use super::{FORMAT, Subject, purl};
use crate::inventory::{Contents, Ecosystem, File, Inventory, Package};
use crate::manifest::to_bytes;

const ROOT: &str = "root";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Debug, Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
}

#[derive(Debug, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum License {
    Expression(String),
    License { name: String },
}

#[derive(Debug, Serialize)]
struct ExternalReference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Debug, Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

/// The document as JSON.
pub(super) fn document(subject: &Subject, inventory: &Inventory) -> Vec<u8> {
    let (tool, version) = subject.tool.rsplit_once('-').unwrap_or((&subject.tool, ""));
    let mut document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: FORMAT,
        metadata: Metadata {
            timestamp: time(subject.created),
            tools: Tools {
                components: vec![Component {
                    kind: "application",
                    name: plain(tool),
                    version: Some(plain(version)).filter(|version| !version.is_empty()),
                    ..Component::default()
                }],
            },
            component: Component {
                kind: if subject.is_image { "container" } else { "operating-system" },
                reference: Some(ROOT.to_owned()),
                name: plain(&subject.name),
                hashes: subject.digest.iter().map(sha256).collect(),
                ..Component::default()
            },
        },
        components: components(inventory),
        dependencies: dependencies(inventory),
    };
    let mut hasher = Hasher::new();
    hasher.update(&to_bytes(&document));
    document.serial_number = format!("urn:uuid:{}", uuid(&hasher.finish()));
    to_bytes(&document)
}

/// Packages with their files and the packages they bring, then the files that are nobody's.
fn components(inventory: &Inventory) -> Vec<Component> {
    let mut parts: Vec<Vec<Component>> = inventory.packages.iter().map(|_| Vec::new()).collect();
    let mut others = Vec::new();
    for file in &inventory.files {
        if let Some(component) = file_component(file) {
            file.owner.and_then(|owner| parts.get_mut(owner)).unwrap_or(&mut others).push(component);
        }
    }
    let mut packages = Vec::new();
    // Debian's packages come first and bring others, never the other way round: the last are done first.
    for (number, package) in inventory.packages.iter().enumerate().rev() {
        let component = package_component(package, inventory, std::mem::take(&mut parts[number]));
        match package.part_of {
            Some(whole) if whole < number => parts[whole].push(component),
            _ => packages.push(component),
        }
    }
    packages.reverse();
    packages.extend(others);
    packages
}

fn package_component(package: &Package, inventory: &Inventory, components: Vec<Component>) -> Component {
    let url = package.homepage.as_deref().and_then(address);
    let mut properties = vec![property("ovmlayer:location", package.location.to_string())];
    if let Some(source) = &package.source {
        let text = format!("{} {}", plain(&source.name), plain(&source.version));
        properties.push(property("ovmlayer:source", text));
    }
    properties.push(property("ovmlayer:size", package.size.to_string()));
    Component {
        kind: if package.ecosystem == Ecosystem::Debian { "application" } else { "library" },
        reference: Some(reference(package)),
        publisher: package.maintainer.as_deref().map(plain),
        name: plain(&package.name),
        version: Some(plain(&package.version)),
        hashes: Vec::new(),
        licenses: licenses(package),
        purl: Some(purl(package, &inventory.release)),
        external_references: url
            .map(|url| ExternalReference { kind: "website", url: url.to_owned() })
            .into_iter()
            .collect(),
        properties,
        components,
    }
}

fn licenses(package: &Package) -> Vec<License> {
    match &package.licence.expression {
        Some(expression) => vec![License::Expression(expression.clone())],
        None => package.licence.declared.iter().map(|name| License::License { name: plain(name) }).collect(),
    }
}

fn file_component(file: &File) -> Option<Component> {
    let Contents::Regular { sha256: digest, .. } = &file.contents else { return None };
    Some(Component {
        kind: "file",
        reference: Some(format!("file-{}", short(file.path.as_bytes()))),
        name: file.path.to_string(),
        hashes: vec![sha256(digest)],
        ..Component::default()
    })
}

fn sha256(digest: &cache::Digest) -> Hash {
    Hash { alg: "SHA-256", content: digest.to_string() }
}

fn property(name: &'static str, value: String) -> Property {
    Property { name, value }
}

/// The tree needs what is in it.
fn dependencies(inventory: &Inventory) -> Vec<Dependency> {
    let top = inventory.packages.iter().filter(|package| package.part_of.is_none());
    let mut depends_on: Vec<String> = top.map(reference).collect();
    depends_on.sort_unstable();
    depends_on.dedup();
    vec![Dependency { reference: ROOT.to_owned(), depends_on }]
}

/// A name within the document.
fn reference(package: &Package) -> String {
    let whole = format!(
        "{}\0{}\0{}\0{}",
        package.name,
        package.version,
        package.architecture.as_deref().unwrap_or_default(),
        package.location
    );
    format!("{}-{}", package.ecosystem, short(whole.as_bytes()))
}
