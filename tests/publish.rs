//! `package publish` as a job of continuous integration meets it: a stand-in for the registry, and Debian's `docker-registry`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::{PackageRegistry, Program, Registry, RegistrySetup, Reply};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const PACKAGE: &str = "@oomol/one@1.2.0";
/// The same in addresses.
const PLACE: &str = "@oomol/one/1.2.0";

fn program() -> Program<'static> {
    Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"))
}

/// Exported layers of one package, which differ in `salt`.
fn export(path: &Path, salt: &str) {
    let about = json!({
        "name": "@oomol/one", "version": "1.2.0", "source_layer": "s", "bootstrap": "true", "bootstrap_layer": "b",
        "package_path": "/app",
    });
    let list = json!({ "layers": ["s", "b"] });
    let mut writer = ZipWriter::new(File::create(path).expect("a zip"));
    let archive = format!("the layers {salt}");
    let files = [
        ("layers.tar", archive),
        ("package-layer.json", about.to_string()),
        ("layers.json", list.to_string()),
    ];
    for (name, text) in files {
        writer.start_file(name, SimpleFileOptions::default()).expect("a file in it");
        writer.write_all(text.as_bytes()).expect("its text");
    }
    writer.finish().expect("a zip");
}

/// A folder `dist` in the program's with the exports of both architectures.
fn exports(program: &Program<'_>) {
    fs::create_dir(program.dist()).expect("a folder");
    for architecture in ["amd64", "arm64"] {
        export(&program.dist().join(format!("{architecture}-layer.zip")), architecture);
    }
}

fn bytes(program: &Program<'_>, architecture: &str) -> Vec<u8> {
    fs::read(program.dist().join(format!("{architecture}-layer.zip"))).expect("an export")
}

/// The program in a job of GitHub's that may ask for tokens.
fn job(registry: &PackageRegistry) -> Program<'static> {
    let program = registry.job().iter().fold(program(), |program, (name, value)| program.env(name, value));
    exports(&program);
    program
}

#[test]
fn a_package_is_published_with_the_token_of_the_job() {
    let server = PackageRegistry::start(PLACE, |_, _| None);
    let program = job(&server);
    let url = server.url();
    let output = program.run(["package", "publish", "dist", "--registry", &url, "--json"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    for secret in server.secrets() {
        assert!(!stdout.contains(secret) && !stderr.contains(secret), "{secret}: {stdout}{stderr}");
    }
    let told = server.told();
    let names: Vec<&str> = told.files.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["amd64-layer.zip", "arm64-layer.zip"]);
    let printed: Value = serde_json::from_str(&stdout).expect("JSON");
    for (place, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let (_, body, digest) = &told.files[place];
        assert_eq!(*body, bytes(&program, architecture), "what arrives is the file");
        let sum = cache::Digest::of(body);
        assert_eq!(printed["files"][place]["sha256"], sum.to_string());
        assert_eq!(printed["files"][place]["size"], body.len());
        assert!(digest.as_ref().is_some_and(|digest| digest.starts_with("sha-256=:")), "{digest:?}");
    }
    assert_eq!(told.published, Some(json!({ "amd64": "amd64-layer.zip", "arm64": "arm64-layer.zip" })));
    assert_eq!(told.tokens, 3, "each request has a fresh token");
}

#[test]
fn what_may_pass_is_tried_again() {
    let server = PackageRegistry::start(PLACE, |path, times| match (path, times) {
        (_, 1) if path.ends_with("presigned-upload-url") => Some(Reply::new(503, "")),
        ("/store/amd64-layer.zip", 1) => Some(Reply::hang_up()),
        ("/store/arm64-layer.zip", 1) => Some(Reply::new(500, "")),
        // An address that has run out: another one is asked for.
        ("/store/arm64-layer.zip", 2) => Some(Reply::new(403, "")),
        ("/token", 2) => Some(Reply::new(502, "")),
        _ => None,
    });
    let program = job(&server);
    program.succeed(["package", "publish", "dist", "--registry", &server.url()]);
    let told = server.told();
    assert_eq!(told.files.len(), 2);
    assert!(told.published.is_some());
}

#[test]
fn when_one_architecture_fails_nothing_is_published_and_the_next_run_goes_on() {
    let broken = Arc::new(Mutex::new(true));
    let switch = Arc::clone(&broken);
    let server = PackageRegistry::start(PLACE, move |path, _| {
        let refuses = path == "/store/arm64-layer.zip" && *switch.lock().expect("a switch");
        refuses.then(|| Reply::new(507, "full"))
    });
    let program = job(&server);
    let url = server.url();
    let publish = ["package", "publish", "dist", "--registry", &url];
    let message = program.fail(publish);
    assert!(message.contains("cannot send arm64-layer.zip") && message.contains("507"), "{message}");
    assert!(!message.contains("s1gned"), "{message}");
    assert_eq!(server.told().published, None);

    *broken.lock().expect("a switch") = false;
    program.succeed(publish);
    {
        let told = server.told();
        let names: Vec<&str> = told.files.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["amd64-layer.zip", "arm64-layer.zip"], "what was sent is not sent again");
        assert!(told.published.is_some());
    }
    // What is published is forgotten: the same command sends everything again.
    program.succeed(publish);
    assert_eq!(server.told().files.len(), 4);
}

#[test]
fn what_must_not_be_published_is_not_even_announced() {
    let server = PackageRegistry::start(PLACE, |_, _| None);
    let program = job(&server);
    let url = server.url();
    let damaged = program.folder().join("damaged.zip");
    let whole = bytes(&program, "arm64");
    fs::write(&damaged, &whole[..whole.len() / 2]).expect("half a zip");
    let cases: [(&str, &[&str], &str); 6] = [
        (
            "another version",
            &["dist", "--package", "@oomol/one@2.0.0"],
            "holds @oomol/one@1.2.0, and @oomol/one@2.0.0",
        ),
        ("no such folder", &["nothing"], "cannot read nothing/amd64-layer.zip"),
        (
            "half a file",
            &["--amd64", "dist/amd64-layer.zip", "--arm64", "damaged.zip"],
            "damaged.zip is no export",
        ),
        ("no way back", &["dist", "--offline"], "without a network"),
        ("an open line", &["dist", "--registry", "http://registry.example"], "use https"),
        (
            "a digest as name",
            &["dist", "--oci", &format!("localhost:1/x@sha256:{}", "0".repeat(64))],
            "name a tag",
        ),
    ];
    for (summary, arguments, expected) in cases {
        let own = arguments.contains(&"--registry") || arguments.contains(&"--oci");
        let registry: &[&str] = if own { &[] } else { &["--registry", &url] };
        let message = program.fail([&["package", "publish"], arguments, registry].concat());
        assert!(message.contains(expected), "{summary}: {message}");
    }
    assert_eq!(server.requests(), 0, "nobody was asked");

    let nobody = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    exports(&nobody);
    let message = nobody.fail(["package", "publish", "dist", "--registry", &url]);
    assert!(message.contains("id-token: write"), "{message}");
    let stranger = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs")).env("OVMLAYER_PACKAGE_TOKEN", "wr0ng");
    exports(&stranger);
    let message = stranger.fail(["package", "publish", "dist", "--registry", &url]);
    assert!(message.contains("401 (who are you)") && !message.contains("wr0ng"), "{message}");
    let usage = program.run(["package", "publish", "dist"]);
    assert_eq!(usage.status.code(), Some(2), "a registry must be named");
}

#[test]
fn an_artifact_for_both_architectures() {
    let registry = Registry::start(&RegistrySetup::default());
    let program = program();
    exports(&program);
    let name = format!("{}/layers/one:1.2.0", registry.name());
    let first = program.succeed(["package", "publish", "dist", "--oci", &name]);
    assert_eq!(first, program.succeed(["package", "publish", "dist", "--oci", &name, "--package", PACKAGE]));
    let (printed, digest) = first.trim().split_once("  ").expect("a name and a digest");
    assert_eq!(printed, name);

    program.succeed(["pull", &name, "oci:pulled:v1"]);
    let blob = |digest: &Value| {
        let name = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
        fs::read(program.folder().join("pulled/blobs/sha256").join(name)).expect("a content")
    };
    let read = |digest: &Value| serde_json::from_slice::<Value>(&blob(digest)).expect("JSON");
    let index = read(&digest.into());
    assert_eq!(index["artifactType"], publishing::ARTIFACT_TYPE);
    for (place, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let entry = &index["manifests"][place];
        assert_eq!(entry["platform"], json!({ "architecture": architecture, "os": "linux" }));
        let manifest = read(&entry["digest"]);
        let layer = &manifest["layers"][0];
        assert_eq!(
            layer["annotations"]["org.opencontainers.image.title"],
            format!("{architecture}-layer.zip")
        );
        assert_eq!(blob(&layer["digest"]), bytes(&program, architecture));
        assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.0");
    }
}
