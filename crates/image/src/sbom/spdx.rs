//! SPDX 2.3.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use cache::Hasher;
use serde::Serialize;
use sha1::Digest as _;

use super::text::{address, plain, short, time, uuid};
use super::{FORMAT, Subject, purl};
use crate::inventory::{Contents, Ecosystem, File, Inventory, Package, Sha1};
use crate::manifest::to_bytes;

const NOTHING: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const ROOT: &str = "SPDXRef-Root";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: Creation,
    packages: Vec<Element>,
    files: Vec<FileElement>,
    relationships: Vec<Relationship>,
}

#[derive(Debug, Serialize)]
struct Creation {
    created: String,
    creators: Vec<String>,
    comment: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<Verification>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<String>,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    package_verification_code_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalReference {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileElement {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: Vec<Checksum>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: Cow<'static, str>,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// The document as JSON.
pub(super) fn document(subject: &Subject, inventory: &Inventory) -> Vec<u8> {
    let name = plain(&subject.name);
    let mut relationships = vec![Relationship {
        spdx_element_id: DOCUMENT.into(),
        relationship_type: "DESCRIBES",
        related_spdx_element: ROOT.to_owned(),
    }];
    let mut contains = |whole: Option<usize>, part: &str| {
        let whole = whole.and_then(|number| inventory.packages.get(number));
        relationships.push(Relationship {
            spdx_element_id: whole.map_or(ROOT.into(), |package| id(package).into()),
            relationship_type: "CONTAINS",
            related_spdx_element: part.to_owned(),
        });
    };
    for package in &inventory.packages {
        contains(package.part_of, &id(package));
    }
    let mut files = Vec::new();
    for file in &inventory.files {
        if let Some(element) = file_element(file) {
            contains(file.owner, &element.id);
            files.push(element);
        }
    }
    let packages = std::iter::once(root(subject, inventory));
    let owned = inventory.files_by_package();
    let wholes: BTreeSet<usize> = inventory.packages.iter().filter_map(|package| package.part_of).collect();
    let packages =
        packages.chain(owned.iter().enumerate().map(|(number, files)| {
            package(inventory, number, files.iter().copied(), wholes.contains(&number))
        }));
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: name.clone(),
        document_namespace: String::new(),
        creation_info: Creation {
            created: time(subject.created),
            creators: vec![format!("Tool: {}", plain(&subject.tool))],
            comment: format!("Format {FORMAT} of the bills of materials that this tool writes."),
        },
        packages: packages.collect(),
        files,
        relationships,
    };
    let mut hasher = Hasher::new();
    hasher.update(&to_bytes(&document));
    let path: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    document.document_namespace = format!("https://spdx.org/spdxdocs/{path}-{}", uuid(&hasher.finish()));
    to_bytes(&document)
}

/// The tree itself.
fn root(subject: &Subject, inventory: &Inventory) -> Element {
    let sums = inventory.files.iter().filter_map(sha1_of);
    let checksum =
        |digest: cache::Digest| Checksum { algorithm: "SHA256", checksum_value: digest.to_string() };
    Element {
        id: ROOT.to_owned(),
        name: plain(&subject.name),
        version_info: None,
        supplier: None,
        download_location: NOTHING,
        files_analyzed: true,
        package_verification_code: Some(verification(sums)),
        checksums: subject.digest.map(checksum).into_iter().collect(),
        homepage: None,
        source_info: None,
        license_concluded: NOTHING,
        license_declared: NOTHING.to_owned(),
        license_comments: None,
        copyright_text: NOTHING,
        external_refs: Vec::new(),
        primary_package_purpose: Some(if subject.is_image { "CONTAINER" } else { "OPERATING-SYSTEM" }),
    }
}

fn package<'i>(
    inventory: &Inventory,
    number: usize,
    files: impl Iterator<Item = &'i File>,
    has_parts: bool,
) -> Element {
    let package = &inventory.packages[number];
    let sums: Vec<Sha1> = files.filter_map(sha1_of).collect();
    let analyzed = !sums.is_empty() || has_parts;
    let licence = &package.licence;
    let declared = || format!("The package's own words: {}", plain(&licence.declared.join("; ")));
    let unclear = licence.expression.is_none() && !licence.declared.is_empty();
    let built_from = package.source.as_ref().map(|source| {
        format!("built from source package {} {}", plain(&source.name), plain(&source.version))
    });
    Element {
        id: id(package),
        name: plain(&package.name),
        version_info: Some(plain(&package.version)),
        supplier: package.maintainer.as_deref().and_then(|text| supplier(package.ecosystem, text)),
        download_location: NOTHING,
        files_analyzed: analyzed,
        package_verification_code: analyzed.then(|| verification(sums)),
        checksums: Vec::new(),
        homepage: package.homepage.as_deref().and_then(address).map(str::to_owned),
        source_info: built_from,
        license_concluded: NOTHING,
        license_declared: licence.expression.clone().unwrap_or_else(|| NOTHING.to_owned()),
        license_comments: unclear.then(declared),
        copyright_text: NOTHING,
        external_refs: vec![ExternalReference {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl(package, &inventory.release),
        }],
        primary_package_purpose: None,
    }
}

/// `Organization: NAME (ADDRESS)`, where neither may have parentheses of its own (section 7.5).
fn supplier(ecosystem: Ecosystem, maintainer: &str) -> Option<String> {
    let (name, address) = match maintainer.split_once('<') {
        Some((name, rest)) => (name, rest.split('>').next()),
        None => (maintainer, None),
    };
    let clean = |text: &str| plain(&text.replace(['(', ')'], " "));
    let name = clean(name);
    if name.is_empty() {
        return None;
    }
    let who = if ecosystem == Ecosystem::Debian { "Organization" } else { "Person" };
    let mut text = format!("{who}: {name}");
    let is_address = |text: &String| text.contains('@') && !text.contains(char::is_whitespace);
    if let Some(address) = address.map(clean).filter(is_address) {
        // Writing to a string cannot fail.
        let _ = write!(text, " ({address})");
    }
    Some(text)
}

fn file_element(file: &File) -> Option<FileElement> {
    let Contents::Regular { sha256, sha1, .. } = &file.contents else { return None };
    let sha1 = sha1.map(|sha1| Checksum { algorithm: "SHA1", checksum_value: sha1.to_string() });
    let sha256 = Checksum { algorithm: "SHA256", checksum_value: sha256.to_string() };
    Some(FileElement {
        id: format!("SPDXRef-File-{}", short(file.path.as_bytes())),
        file_name: format!("./{}", file.path),
        checksums: sha1.into_iter().chain([sha256]).collect(),
    })
}

fn sha1_of(file: &File) -> Option<Sha1> {
    if let Contents::Regular { sha1, .. } = file.contents { sha1 } else { None }
}

/// The package verification code (section 7.9): the digest of all files' digests in their order.
fn verification(sums: impl IntoIterator<Item = Sha1>) -> Verification {
    let mut sums: Vec<Sha1> = sums.into_iter().collect();
    sums.sort_unstable();
    let mut hasher = sha1::Sha1::new();
    for sum in sums {
        hasher.update(sum.to_string());
    }
    Verification { package_verification_code_value: Sha1(hasher.finalize().into()).to_string() }
}

/// A name within the document: letters, digits, `.` and `-` (section 7.2). The digest makes it the only one.
fn id(package: &Package) -> String {
    let word = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(80).collect()
    };
    let whole = format!(
        "{}\0{}\0{}\0{}\0{}",
        package.ecosystem,
        package.name,
        package.version,
        package.architecture.as_deref().unwrap_or_default(),
        package.location
    );
    let digest = short(whole.as_bytes());
    format!("SPDXRef-Package-{}-{}-{digest}", package.ecosystem, word(&package.name))
}
