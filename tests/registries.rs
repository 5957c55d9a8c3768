//! `pull`, `push` and `copy` as a user meets them, with Debian's `docker-registry`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image::{Config, Descriptor, Index, Layout, Manifest, Platform, Process, RootFs, Target as _, media};
use serde_json::{Value, json};
use testkit::{Certificate, Program, Registry, RegistrySetup, run, tool};

const USER: &str = "alice";
const PASSWORD: &str = "s3cret-w0rd";

fn program() -> Program<'static> {
    Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"))
}

/// An image for two platforms in the folder `name` of the program, and its digest.
fn image(program: &Program<'_>, name: &str) -> (PathBuf, String) {
    let path = program.folder().join(name);
    let layout = Layout::create(&path).expect("a layout");
    let store = |kind: &str, bytes: &[u8]| {
        let blob = Descriptor::of(kind, bytes);
        layout.put(&blob, &mut &bytes[..]).expect("a content");
        blob
    };
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let text = format!("not really a layer for {architecture}");
        let layer = store(media::LAYER, text.as_bytes());
        let config = Config {
            created: None,
            author: None,
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
            config: Process::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.digest] },
            history: Vec::new(),
        };
        let bytes = Manifest::new(store(media::CONFIG, &config.to_bytes()), vec![layer]).to_bytes();
        let manifest = store(media::MANIFEST, &bytes);
        entries.push(Descriptor { platform: Some(Platform::linux(architecture)), ..manifest });
    }
    let bytes = Index::new(entries).to_bytes();
    let index = store(media::INDEX, &bytes);
    layout.tag(&index, &bytes, "latest").expect("a tag");
    (path, index.digest_text())
}

fn digest_in(path: &Path, tag: &str) -> String {
    let layout = Layout::open(path).expect("a layout");
    layout.find(Some(tag)).expect("an image").digest_text()
}

#[test]
fn there_and_back_again() {
    let registry = Registry::start(&RegistrySetup::default());
    let (host, program) = (registry.name(), program());
    let (source, digest) = image(&program, "source");
    let source = source.to_str().expect("a path");
    let [one, two, other] =
        [format!("{host}/team/app:one"), format!("{host}/team/app:two"), format!("{host}/team/other:v1")];
    let written = program.succeed(["push", source, &one, &two, &other]);
    let expected: Vec<String> = [&one, &two, &other].map(|name| format!("{name}  {digest}")).to_vec();
    assert_eq!(written.lines().collect::<Vec<_>>(), expected);

    // Nothing is sent twice, and what one repository has the other one takes over.
    let again = program.succeed(["push", source, &one, &format!("{host}/third"), "--json"]);
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(again[0]["skipped"]["blobs"], 4);
    assert_eq!(again[0]["sent"]["blobs"], 0);
    assert_eq!(again[1]["names"], serde_json::json!([format!("{host}/third:latest")]));
    assert_eq!(again[1]["mounted"]["blobs"], 4);
    assert_eq!(again[1]["digest"], digest.as_str());

    program.succeed(["pull", &one, "pulled"]);
    assert_eq!(digest_in(&program.folder().join("pulled"), "one"), digest);
    program.succeed(["pull", &format!("{host}/team/app@{digest}"), "oci:pulled:exact"]);
    assert_eq!(digest_in(&program.folder().join("pulled"), "exact"), digest);
    program.succeed(["copy", &two, &format!("docker://{host}/copied:v1")]);
    program.succeed(["copy", &format!("{host}/copied:v1"), "oci:copied:v1", "--platform", "linux/arm64"]);
    let copied = Layout::open(&program.folder().join("copied")).expect("a layout");
    assert_eq!(copied.find(None).expect("an image").media_type, media::MANIFEST);

    // The cache is enough the second time.
    drop(registry);
    program.succeed(["pull", &one, "offline", "--offline"]);
    assert_eq!(digest_in(&program.folder().join("offline"), "one"), digest);
    let message = program.fail(["pull", &format!("{host}/team/app:three"), "offline", "--offline"]);
    assert!(message.contains("run once without `--offline`"), "{message}");
}

#[test]
fn who_asks_over_which_line() {
    let certificate = Certificate::generate();
    let registry = Registry::start(&RegistrySetup {
        account: Some((USER, PASSWORD)),
        certificate: Some(&certificate),
        tokens: None,
    });
    let (host, program) = (registry.name(), program());
    let (source, _) = image(&program, "source");
    let (source, name) = (source.to_str().expect("a path").to_owned(), format!("{host}/app:v1"));
    let ca = certificate.path().display().to_string();
    let push = ["push", &source, &name];
    let with = |more: &[&str]| [&push[..], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();

    let message = program.fail(push);
    assert!(message.contains("TLS") && message.contains("`--ca FILE`"), "{message}");
    let message = program.fail(with(&["--ca", &ca]));
    assert!(message.contains("401 (unauthorized) to somebody without credentials"), "{message}");
    assert!(message.contains("log in with `--creds USER`"), "{message}");
    let message = program.fail(with(&["--ca", &ca, "--creds", "alice:wr0ng"]));
    assert!(
        message.contains("check the user name and the password") && !message.contains("wr0ng"),
        "{message}"
    );
    let message = program.fail(with(&["--ca", &ca, "--creds", USER]));
    assert!(message.contains("set OVMLAYER_REGISTRY_PASSWORD"), "{message}");
    let message = program.fail(with(&["--ca", &source]));
    assert!(message.contains("certificates in PEM form"), "{message}");

    program.succeed(with(&["--ca", &ca, "--creds", &format!("{USER}:{PASSWORD}")]));
    program.succeed(with(&["--ca", &ca, "--creds", &format!("{host}={USER}:{PASSWORD}")]));
    let message = program.fail(with(&["--ca", &ca, "--creds", &format!("elsewhere.org={USER}:{PASSWORD}")]));
    assert!(message.contains("without credentials"), "{message}");
    let mut child = program
        .command(with(&["--ca", &ca, "--creds", &format!("{USER}:-")]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("it reads");
    drop(input);
    assert!(child.wait().expect("its end").success());

    // A password is for one registry, never for the next one in the line.
    let message =
        program.fail(with(&["localhost:1/app", "--ca", &ca, "--creds", &format!("{USER}:{PASSWORD}")]));
    assert!(message.contains("say for which") && !message.contains(PASSWORD), "{message}");
    let named = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"))
        .env("OVMLAYER_REGISTRY_USER", USER)
        .env("OVMLAYER_REGISTRY_PASSWORD", PASSWORD);
    named.succeed(["pull", &name, "pulled", "--ca", &ca, "--progress", "json"]);
}

/// Through archives of both kinds: skopeo reads what is written, and what skopeo writes is read.
#[test]
fn archives_both_ways() {
    let registry = Registry::start(&RegistrySetup::default());
    let (host, program) = (registry.name(), program());
    let (_, digest) = image(&program, "source");
    program.succeed(["copy", "oci:source", "oci-archive:whole.tar:v1"]);
    let back = program.succeed(["push", "oci-archive:whole.tar:v1", &format!("{host}/app:v1")]);
    assert_eq!(back, format!("{host}/app:v1  {digest}\n"), "the same bytes on the other side");

    let skopeo =
        |arguments: &[&str]| run(Command::new(tool("skopeo")).args(arguments).current_dir(program.folder()));
    let raw = skopeo(&["inspect", "--raw", "oci-archive:whole.tar:v1"]);
    assert_eq!(format!("sha256:{}", cache::Digest::of(&raw)), digest);

    let errors = program.fail(["copy", "oci:source", "docker-archive:two.tar"]);
    assert!(errors.contains("it holds one image"), "{errors}");
    assert!(!program.folder().join("two.tar").exists());
    program.succeed(["copy", "oci:source", "docker-archive:one.tar:app:v1", "--platform", "arm64"]);
    let config = skopeo(&["inspect", "--config", "docker-archive:one.tar:app:v1"]);
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["architecture"], "arm64");

    program.succeed(["push", "./one.tar", &format!("{host}/app:arm")]);
    program.succeed(["copy", &format!("{host}/app:arm"), "oci:again:x"]);
    let config = skopeo(&["inspect", "--config", "oci:again:x"]);
    let again: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(
        again["rootfs"],
        json!({
            "type": "layers",
            "diff_ids": [format!("sha256:{}", cache::Digest::of(b"not really a layer for arm64"))],
        })
    );
    let errors = program.fail(["copy", "./one.tar", "oci:out", "--referrers"]);
    assert!(errors.contains("leave out `--referrers`"), "{errors}");
}

#[test]
fn what_cannot_be_done() {
    let registry = Registry::start(&RegistrySetup::default());
    let (host, program) = (registry.name(), program());
    let (source, digest) = image(&program, "source");
    let source = source.to_str().expect("a path").to_owned();
    program.succeed(["push", &source, &format!("{host}/app:v1")]);
    program.write("x.tar", "x");
    let cases: [(&str, Vec<String>, &str); 8] = [
        ("no such tag", vec!["pull".into(), format!("{host}/app:v2"), "out".into()], "among its tags are v1"),
        (
            "no such repository",
            vec!["pull".into(), format!("{host}/ap:v1"), "out".into()],
            "there is no repository `ap`",
        ),
        (
            "a digest to write to",
            vec!["push".into(), source.clone(), format!("{host}/app@{digest}")],
            "name a tag",
        ),
        (
            "no such folder",
            vec!["push".into(), "./none".into(), format!("{host}/app")],
            "is not an OCI image layout",
        ),
        (
            "no such image",
            vec!["push".into(), format!("oci:{source}:v9"), format!("{host}/app")],
            "its tags are latest",
        ),
        (
            "no such platform",
            vec![
                "push".into(),
                source.clone(),
                format!("{host}/app"),
                "--platform".into(),
                "linux/s390x".into(),
            ],
            "it has linux/amd64, linux/arm64",
        ),
        ("a file", vec!["push".into(), "./x.tar".into(), format!("{host}/app")], "cannot read ./x.tar"),
        ("nobody there", vec!["pull".into(), "127.0.0.1:1/app".into(), "out".into()], "cannot connect"),
    ];
    for (summary, arguments, words) in cases {
        let message = program.fail(&arguments);
        assert!(message.contains(words), "{summary}: {message}");
        assert!(!program.folder().join("out").exists(), "{summary}");
    }
    for (summary, arguments) in [
        ("no reference", vec!["pull", "Not/A/Reference", "out"]),
        ("no target", vec!["push", &source]),
        ("from registry to registry", vec!["pull", "a/b", "docker://c/d"]),
        ("no platform", vec!["pull", "a/b", "out", "--platform", "a/b/c/d"]),
    ] {
        assert_eq!(program.run(&arguments).status.code(), Some(2), "{summary}");
    }
}
