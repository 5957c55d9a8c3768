//! Every script in the workflows and actions is run, in a scratch checkout with the environment of GitHub's runner. Cargo, gh, sudo
//! and docker are stand-ins that do as little as is needed; `fetch` and `package publish` are the real program, and speak to
//! stand-ins for GitHub's API and a package registry.

mod expression;
mod runner;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use runner::{Event, Run, repository, scripts};
use serde_json::{Value, json};
use testkit::{GithubApi, Member, PackageRegistry, Published, Releases, TarBuilder, tool};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");

/// Leaves the files that a build would have made.
const CARGO: &str = r#"
echo "cargo $*" >> "$TEST_LOG"
files=
case "$*" in
    "run --release --locked -- build base-rootfs --out dist"*) files="amd64-rootfs.tar arm64-rootfs.tar base-rootfs.lock" ;;
    "run --release --locked -- build server-base --out dist"*) files="amd64-server-base.tar arm64-server-base.tar server-base.lock" ;;
    "run --release --locked -- build executor-layer --out dist"*) files="amd64-executor.tar arm64-executor.tar versions.json executor-layer.lock" ;;
    "xtask dist --out dist"*) case "$RUNNER_ARCH" in X64) files=ovmlayer-rootfs-amd64.tar.gz ;; *) files=ovmlayer-rootfs-arm64.tar.gz ;; esac ;;
    "run --release --locked -- build oocana-runtime --out dist"*) files=index.json ;;
    "build --release --locked --package oocana --package ovmlayer")
        mkdir -p target/x86_64-unknown-linux-gnu/release
        touch target/x86_64-unknown-linux-gnu/release/oocana target/x86_64-unknown-linux-gnu/release/ovmlayer
        exit 0 ;;
    "build --release --locked --package ovmlayer-rootfs"*)
        mkdir -p target/x86_64-unknown-linux-gnu/release
        ln -s 'PROGRAM' target/x86_64-unknown-linux-gnu/release/ovmlayer-rootfs
        exit 0 ;;
    *) echo "what is cargo $*" >&2; exit 1 ;;
esac
mkdir -p dist
for file in $files; do echo "$file" > "dist/$file"; done
[ ! -e dist/versions.json ] || cat > dist/versions.json << 'END'
VERSIONS
END
"#;

/// Keeps what is released, and has releases of this project.
const GH: &str = r#"
[ -n "$GH_TOKEN" ]
echo "gh $*" >> "$TEST_LOG"
case "$1 $2" in
    "release create")
        folder="$TEST_RELEASES/$3"
        shift 3
        mkdir "$folder"
        while [ $# -gt 0 ]; do
            case "$1" in
                --verify-tag) ;;
                --repo | --title) shift ;;
                --notes) printf '%s' "$2" > "$folder/notes"; shift ;;
                --notes-file) cp "$2" "$folder/notes"; shift ;;
                *) cp "$1" "$folder" ;;
            esac
            shift
        done ;;
    "release download")
        [ "$3" = v0.10.0 ]
        mkdir -p work/ovmlayer-rootfs-0.10.0/bin
        ln -sf 'PROGRAM' work/ovmlayer-rootfs-0.10.0/bin/ovmlayer-rootfs
        for arch in amd64 arm64; do tar -czf "ovmlayer-rootfs-$arch.tar.gz" -C work ovmlayer-rootfs-0.10.0; done
        sha256sum ./*.tar.gz | sed 's# \./# #' > SHA256SUMS ;;
    "api --paginate") printf '%s\n' server-base@9.0.0 v0.9.0 v0.10.0 v0.11.0-rc.1 v0.2.0 ;;
    *) echo "what is gh $*" >&2; exit 1 ;;
esac
"#;

/// Changes nothing of this machine; an export of layers is one that was made before.
const SUDO: &str = r#"
echo "sudo $*" >> "$TEST_LOG"
case "$*" in
    *" package export . --out "*)
        for folder; do :; done
        mkdir "$folder"
        case "$RUNNER_ARCH" in X64) cp 'EXPORTS/amd64-layer.zip' "$folder" ;; *) cp 'EXPORTS/arm64-layer.zip' "$folder" ;; esac ;;
esac
"#;

const VERSIONS: &str = r#"{
    "python": { "oocana": "0.18.12", "oocana-python-executor": "0.16.18" },
    "node": { "esbuild": "0.25.0" },
    "architectures": {
        "amd64": { "parent": { "name": "server-base", "digest": "sha256:aa" }, "python": "3.13", "node": "20.19" },
        "arm64": { "parent": { "name": "server-base", "digest": "sha256:bb" }, "python": "3.13", "node": "20.19" }
    }
}"#;

fn programs(exports: &Path) -> Vec<(&'static str, String)> {
    let exports = exports.display().to_string();
    let fill = |text: &str| {
        text.replace("PROGRAM", PROGRAM).replace("VERSIONS", VERSIONS).replace("EXPORTS", &exports)
    };
    vec![
        ("cargo", fill(CARGO)),
        ("gh", fill(GH)),
        ("sudo", fill(SUDO)),
        ("rustc", "echo x86_64-unknown-linux-gnu".to_owned()),
        ("docker", "echo \"docker $1\" >> \"$TEST_LOG\"".to_owned()),
    ]
}

/// Exported layers of a package for both architectures.
fn exports(folder: &Path) {
    let about =
        json!({ "name": "@oomol/one", "version": "1.2.0", "source_layer": "s", "package_path": "/app" });
    for architecture in ["amd64", "arm64"] {
        let path = folder.join(format!("{architecture}-layer.zip"));
        let mut writer = ZipWriter::new(File::create(path).expect("a zip"));
        let list = json!({ "layers": ["s"] }).to_string();
        for (name, text) in
            [("layers.tar", architecture), ("package-layer.json", &about.to_string()), ("layers.json", &list)]
        {
            writer.start_file(name, SimpleFileOptions::default()).expect("a file in it");
            writer.write_all(text.as_bytes()).expect("its text");
        }
        writer.finish().expect("a zip");
    }
}

/// Releases of the components, whose programs are scripts.
fn releases() -> Releases {
    let program = |name: &str| {
        let text = format!("#!/bin/sh\necho {name} 1.0.0\n");
        TarBuilder::new().member(Member::file(name, text).mode(0o755)).build()
    };
    let mut oocana = Published::new("v1.0.0");
    let mut ovmlayer = Published::new("ovmlayer@1.0.0");
    let mut rootfs = Published::new("server-base@0.6.0");
    for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        oocana = oocana.asset(format!("oocana-cli-{machine}-unknown-linux-gnu.tar.gz"), program("oocana"));
        ovmlayer = ovmlayer.asset(format!("ovmlayer-{architecture}.tar"), program("ovmlayer"));
        let root = TarBuilder::new().member(Member::file("etc/os-release", "NAME=x\n")).build();
        rootfs = rootfs.asset(format!("{architecture}-server-base.tar"), root);
    }
    Releases::from([
        ("oomol/oocana-rust", vec![oocana]),
        ("oomol/ovmlayer", vec![ovmlayer]),
        ("oomol/ovmlayer-rootfs", vec![rootfs]),
    ])
}

/// A workflow, a tag that starts it, and the files that are released then.
const RELEASED: [(&str, &str, &[&str]); 4] = [
    (
        "rootfs-base",
        "refs/tags/base-rootfs@0.5.0",
        &["amd64-rootfs.tar", "arm64-rootfs.tar", "base-rootfs.lock"],
    ),
    (
        "rootfs-server",
        "refs/tags/server-base@0.7.0",
        &["amd64-server-base.tar", "arm64-server-base.tar", "server-base.lock"],
    ),
    (
        "layer-executor",
        "refs/tags/executor-layer@0.2.0",
        &["amd64-executor.tar", "arm64-executor.tar", "executor-layer.lock", "versions.json"],
    ),
    ("release", "refs/tags/v0.1.0", &["ovmlayer-rootfs-amd64.tar.gz", "ovmlayer-rootfs-arm64.tar.gz"]),
];

#[test]
fn every_script_runs_and_each_kind_of_tag_releases_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    exports(folder.path());
    let programs = programs(folder.path());
    let mut executed = BTreeSet::new();
    for (workflow, reference, files) in RELEASED {
        let mut run = Run::new(Event { reference, name: "push", inputs: Value::Null }, &programs, &[]);
        run.workflow(workflow);
        let tag = reference.rsplit('/').next().expect("a tag");
        let released = run.release(tag);
        let mut expected: BTreeSet<&str> = files.iter().copied().collect();
        expected.extend(["SHA256SUMS", "notes"]);
        assert_eq!(released.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{workflow}");
        let sums: BTreeSet<&str> =
            released["SHA256SUMS"].lines().map(|line| line.split_once("  ").expect("a sum").1).collect();
        assert_eq!(sums, files.iter().copied().collect(), "{workflow}: every file has its sum");
        if workflow == "layer-executor" {
            for line in [
                "- oocana-python-executor 0.16.18",
                "- esbuild 0.25.0",
                "- arm64: server-base, sha256:bb, Python 3.13",
            ] {
                assert!(released["notes"].contains(line), "{line}: {}", released["notes"]);
            }
        }
        if workflow == "release" {
            assert!(run.log().contains("cargo xtask dist --out dist --tag v0.1.0"), "{}", run.log());
        }
        executed.extend(run.executed().clone());

        let event = Event { reference: "refs/pull/1/merge", name: "pull_request", inputs: Value::Null };
        let mut run = Run::new(event, &programs, &[]);
        run.workflow(workflow);
        assert!(!run.log().contains("gh "), "{workflow}: a pull request releases nothing: {}", run.log());
    }

    let api = GithubApi::start(releases(), |_, _| None);
    let event = Event { reference: "refs/pull/1/merge", name: "pull_request", inputs: Value::Null };
    let mut run = Run::new(event, &programs, &[("GITHUB_API_URL", api.url())]);
    run.workflow("test-actions");
    executed.extend(run.executed().clone());

    executed.extend(package_layers(&programs, &api));
    executed.extend(runtime_image(&programs));

    let event = Event { reference: "refs/heads/main", name: "push", inputs: Value::Null };
    let mut run = Run::new(event, &programs, &[]);
    run.workflow("ci");
    assert!(run.log().contains("docker run"), "{}", run.log());
    executed.extend(run.executed().clone());

    let left: Vec<_> = scripts().difference(&executed).cloned().collect();
    assert!(left.is_empty(), "no test runs these scripts: {left:?}");
}

/// Runs the workflow of the runtime image: what starts it says under which names the image is pushed.
fn runtime_image(programs: &[(&str, String)]) -> BTreeSet<(String, String)> {
    let image = "ghcr.io/oomol/oocana-runtime";
    let (commit, latest) = (format!("{image}:sha-0123456"), format!("{image}:latest"));
    let cases = [
        ("refs/pull/1/merge", "pull_request", json!({}), vec![]),
        ("refs/heads/other", "workflow_dispatch", json!({ "push": false }), vec![]),
        ("refs/heads/other", "workflow_dispatch", json!({ "push": true }), vec![commit.clone()]),
        ("refs/heads/main", "push", json!({}), vec![commit.clone(), latest.clone()]),
        (
            "refs/tags/oocana-runtime@1.4.0",
            "push",
            json!({}),
            vec![commit.clone(), latest.clone(), format!("{image}:1.4.0")],
        ),
    ];
    let mut executed = BTreeSet::new();
    for (reference, name, inputs, expected) in cases {
        let mut run = Run::new(Event { reference, name, inputs }, programs, &[]);
        run.workflow("image-runtime");
        let log = run.log();
        let built = log.lines().find(|line| line.contains("-- build oocana-runtime")).expect("a build");
        assert!(built.contains("--component oocana=programs/{arch}-oocana"), "{built}");
        let pushed: Vec<&str> = built.split(" --push ").skip(1).collect();
        assert_eq!(pushed, expected, "{reference} by {name}");
        executed.extend(run.executed().clone());
    }
    executed
}

/// Runs the workflow that other repositories call, up to what the registry has in the end.
fn package_layers(programs: &[(&str, String)], api: &GithubApi) -> BTreeSet<(String, String)> {
    let registry = PackageRegistry::start("@oomol/one/1.2.0", |_, _| None);
    let inputs = json!({
        "package-name": "@oomol/one", "version": "1.2.0", "registry": registry.url(),
        "oocana": "latest", "ovmlayer": "latest", "rootfs": "latest",
    });
    let variables: Vec<(&str, String)> =
        registry.job().into_iter().chain([("GITHUB_API_URL", api.url())]).collect();
    let event = Event { reference: "refs/heads/main", name: "workflow_call", inputs };
    let mut run = Run::new(event, programs, &variables);
    run.workflow("layer-package");
    let told = registry.told();
    assert_eq!(told.published, Some(json!({ "amd64": "amd64-layer.zip", "arm64": "arm64-layer.zip" })));
    let log = run.log();
    for line in ["gh release download v0.10.0", "sudo ovmlayer test system", "package create ."] {
        assert!(log.contains(line), "`{line}`: {log}");
    }
    run.executed().clone()
}

#[test]
fn what_is_not_what_was_released_is_not_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    let gh = folder.path().join("gh");
    let text = "#!/bin/sh\necho altered > ovmlayer-rootfs-amd64.tar.gz\n\
                echo \"$(printf x | sha256sum | cut -d' ' -f1)  ovmlayer-rootfs-amd64.tar.gz\" > SHA256SUMS\n";
    let write = format!("cat > '{0}' << 'END'\n{text}END\nchmod +x '{0}'", gh.display());
    assert!(Command::new(tool("sh")).args(["-c", &write]).status().expect("a shell").success());
    let path = folder.path().join("path");
    let result = Command::new(repository().join(".github/actions/setup/install"))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .envs([("RUNNER_ARCH", "X64"), ("VERSION", "v1.0.0"), ("REPOSITORY", "a/b"), ("GH_TOKEN", "x")])
        .env("RUNNER_TEMP", folder.path())
        .env("GITHUB_PATH", &path)
        .output()
        .expect("the script");
    assert!(!result.status.success());
    assert!(String::from_utf8_lossy(&result.stdout).contains("FAILED"), "{result:?}");
    assert!(fs::metadata(path).is_err(), "nothing is put on PATH");
}
