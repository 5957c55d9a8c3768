//! Bills of materials and provenance, checked by the tools of those who define the forms, and how they go along with images.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use image::{Image, Layout, Manifest, Platform, Referrers as _, media, provenance, read_small};
use serde_json::Value;
use testkit::{Program, run, tool, validator};

use crate::stage::{Stage, json, walk};

const CYCLONEDX: &str = "import sys\n\
    from cyclonedx.schema import SchemaVersion\n\
    from cyclonedx.validation.json import JsonStrictValidator\n\
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\n\
    sys.exit(f'{error}' if error else 0)\n";

const PROVENANCE: &str = "import json, sys\n\
    from google.protobuf import json_format\n\
    from in_toto_attestation.v1 import statement_pb2\n\
    from in_toto_attestation.v1.statement import Statement\n\
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor\n\
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2\n\
    text = json.load(open(sys.argv[1]))\n\
    Statement.copy_from_pb(json_format.ParseDict(text, statement_pb2.Statement())).validate()\n\
    made = json_format.ParseDict(text['predicate'], provenance_pb2.Provenance())\n\
    for one in made.build_definition.resolved_dependencies:\n\
    \x20   ResourceDescriptor.copy_from_pb(one).validate()\n\
    assert text['predicateType'] == 'https://slsa.dev/provenance/v1'\n\
    # What the specification calls required.\n\
    assert made.build_definition.build_type.startswith('https://')\n\
    assert len(made.build_definition.external_parameters) > 0\n\
    assert made.run_details.builder.id.startswith('https://')\n\
    print(len(made.build_definition.resolved_dependencies))\n";

fn write(stage: &Stage, source: &str, form: &str, name: &str) -> Value {
    stage.program.succeed(["sbom", source, "--format", form, "--output", name]);
    json(&fs::read_to_string(stage.program.folder().join(name)).expect("the document"))
}

/// The digest of every file of the tree, by `sha256sum`.
fn digests(root: &Path) -> BTreeMap<String, String> {
    let is_file =
        |path: &&std::path::PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let files = walk(root);
    let files: Vec<_> = files.iter().filter(is_file).collect();
    let mut all = BTreeMap::new();
    for some in files.chunks(1000) {
        let text = run(Command::new(tool("sha256sum")).arg("--").args(some));
        for line in String::from_utf8(text).expect("text").lines() {
            let (digest, path) = line.split_once("  ").expect("a digest and a path");
            let path = Path::new(path).strip_prefix(root).expect("a path in the root");
            all.insert(path.display().to_string(), digest.to_owned());
        }
    }
    all
}

pub(crate) fn spdx_is_valid_and_has_every_file_and_package(stage: &Stage) {
    let document = write(stage, "dist/stage", "spdx", "spdx.json");
    let path = stage.program.folder().join("spdx.json");
    run(Command::new(validator("pyspdxtools")).arg("-i").arg(&path));
    let list = |name: &str| document[name].as_array().expect("a list").clone();
    let found: BTreeMap<String, String> = list("files")
        .iter()
        .map(|file| {
            let name = file["fileName"].as_str().and_then(|name| name.strip_prefix("./")).expect("a name");
            let sums = file["checksums"].as_array().expect("checksums");
            let sum = sums.iter().find(|sum| sum["algorithm"] == "SHA256").expect("the digest");
            (name.to_owned(), sum["checksumValue"].as_str().expect("a digest").to_owned())
        })
        .collect();
    assert_eq!(found, digests(&stage.rootfs()));
    let inspection = stage.inspect("dist/stage");
    let packages = inspection["packages"].as_array().expect("packages");
    // One more: the image itself.
    assert_eq!(list("packages").len(), packages.len() + 1);
    // The same once more, and from another place under the same name.
    stage.program.succeed(["copy", &stage.reference(), "oci:elsewhere/stage:latest"]);
    assert_eq!(write(stage, "elsewhere/stage", "spdx", "again.json"), document);
}

pub(crate) fn cyclonedx_is_valid_and_has_every_file(stage: &Stage) {
    let document = write(stage, "rootfs.tar", "cyclonedx", "cyclonedx.json");
    let path = stage.program.folder().join("cyclonedx.json");
    run(Command::new(validator("python")).args(["-c", CYCLONEDX]).arg(&path));
    let mut found = BTreeMap::new();
    files(&document["components"], &mut found);
    assert_eq!(found, digests(&stage.rootfs()));
    let hash = &document["metadata"]["component"]["hashes"][0];
    let digest = stage.inspect("rootfs.tar")["digest"].clone();
    assert_eq!(format!("sha256:{}", hash["content"].as_str().expect("a digest")), digest);
}

/// All components that are files, with their digests.
fn files(components: &Value, found: &mut BTreeMap<String, String>) {
    for component in components.as_array().into_iter().flatten() {
        if component["type"] == "file" {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            found.insert(text(&component["name"]), text(&component["hashes"][0]["content"]));
        }
        files(&component["components"], found);
    }
}

/// What a hostile tree says of itself makes no document that is not valid.
#[test]
fn documents_of_a_hostile_tree_are_valid() {
    let program = Program::new(crate::stage::PROGRAM);
    let status = "Package: a\u{1b}\"\nStatus: install ok installed\nVersion: 1 (x)\nMaintainer: (<@>) <a b@c>\n\
                  Homepage: javascript:alert(1)\nSource: x (((\n\nPackage: \u{202e}b\nVersion: ~\nMaintainer: <>\n";
    let licence = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
                   License: MIT AND (\n\nFiles: x\nLicense: \u{1}\n";
    let npm = r#"{"name":"@/ x","version":"\u0000","license":"SEE LICENSE IN <x>","homepage":"http://[::1"}"#;
    let tar = testkit::TarBuilder::new()
        .member(testkit::Member::file("var/lib/dpkg/status", status))
        .member(testkit::Member::file("usr/share/doc/b/copyright", licence))
        .member(testkit::Member::file("node_modules/x/package.json", npm))
        .member(testkit::Member::file("a\u{1b}\n\"<", "x"))
        .member(testkit::Member::file(b"\xff\xfe".to_vec(), "x"));
    program.write("<script>.tar", tar.build());
    program.succeed(["sbom", "<script>.tar", "--output", "spdx.json"]);
    run(Command::new(validator("pyspdxtools")).arg("-i").arg(program.folder().join("spdx.json")));
    program.succeed(["sbom", "<script>.tar", "--format", "cyclonedx", "--output", "cyclonedx.json"]);
    let path = program.folder().join("cyclonedx.json");
    run(Command::new(validator("python")).args(["-c", CYCLONEDX]).arg(&path));
}

/// Attached beside the image, carried along to a registry and back; the image stays what it was.
pub(crate) fn documents_go_along_with_the_image(stage: &Stage) {
    let program = &stage.program;
    program.succeed(["copy", &stage.reference(), "oci:attached:latest"]);
    let found = |name: &str| {
        let layout = Layout::open(&program.folder().join(name)).expect("a layout");
        let root = layout.find(Some("latest")).expect("the image");
        (layout, root)
    };
    let before = found("attached").1;
    let attach =
        |more: &[&str]| program.succeed([&["sbom", "oci:attached:latest", "--attach"], more].concat());
    let (first, again) = (attach(&[]), attach(&[]));
    assert_eq!(first, again, "the same document is attached once");
    assert_ne!(first, attach(&["--format", "cyclonedx"]));
    assert_eq!(found("attached").1, before);

    let reference = format!("{}/attached:v1", stage.registry.name());
    program.succeed(["copy", "attached", &reference, "--referrers"]);
    program.succeed(["copy", &reference, "oci:back:latest", "--referrers"]);
    let (layout, root) = found("back");
    assert_eq!(root.digest, before.digest);
    let platform = Platform::linux(if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" });
    let subject = Image::find(&layout, &root, &platform).expect("the image").descriptor;
    let mut documents = BTreeMap::new();
    for referrer in layout.referrers(&subject).expect("referrers") {
        let manifest =
            Manifest::parse(&read_small(&layout, &referrer).expect("a manifest"), "it").expect("a manifest");
        assert_eq!(manifest.artifact_type, referrer.artifact_type);
        let bytes = read_small(&layout, &manifest.layers[0]).expect("the document");
        documents.insert(manifest.artifact_type.expect("a type"), bytes);
    }
    let kinds: Vec<&str> = documents.keys().map(String::as_str).collect();
    assert_eq!(kinds, [media::SPDX, media::CYCLONEDX]);
    assert_eq!(
        String::from_utf8_lossy(&documents[media::SPDX]),
        program.succeed(["sbom", "oci:attached:latest"])
    );

    // Attached in the registry itself, it is about the same image.
    program.succeed(["sbom", &reference, "--attach"]);
    program.succeed(["copy", &reference, "oci:again:latest", "--referrers"]);
    let (layout, root) = found("again");
    assert_eq!((root.digest, layout.referrers(&subject).expect("referrers").len()), (before.digest, 3));
    for (source, expected) in
        [("rootfs.tar", "it is not an image"), ("oci-archive.tar", "an archive is written once")]
    {
        let errors = program.fail(["sbom", source, "--attach"]);
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn provenance_is_a_statement_of_in_toto() {
    let program = Program::new(crate::stage::PROGRAM);
    let digest = cache::Digest::of(b"");
    let dependency = |name: &str| provenance::Dependency {
        uri: format!("pkg:deb/debian/{name}@1"),
        name: name.to_owned(),
        digest,
    };
    let statement = provenance::statement(&provenance::Facts {
        subjects: [("image".to_owned(), digest)].into(),
        parameters: [("recipe".to_owned(), Value::from("base-rootfs"))].into(),
        dependencies: vec![dependency("zsh"), dependency("bash"), dependency("zsh")],
        builder: "https://example.org/builder".to_owned(),
        versions: [("ovmlayer-rootfs".to_owned(), "0.1.0".to_owned())].into(),
    });
    let path = program.write("statement.json", statement);
    let count = run(Command::new(validator("python")).args(["-c", PROVENANCE]).arg(&path));
    assert_eq!(String::from_utf8_lossy(&count), "2\n");
}
