//! Root filesystems from images, by the whole program.
//!
//! Needs the Debian packages skopeo, umoci, tar and python3, and root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{Certificate, Program, Registry, RegistrySetup, run, tool};

/// The program in a folder of its own, with a layout `image` of two architectures.
fn program() -> Program<'static> {
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    for architecture in ["amd64", "arm64"] {
        layout(&program.folder().join(architecture), architecture, "first");
    }
    join(program.folder(), "image");
    program
}

/// A layout with an image of three layers for one architecture, made by `umoci`.
fn layout(path: &Path, architecture: &str, word: &str) {
    let image = format!("{}:latest", path.display());
    let bundle = path.with_extension("bundle");
    let umoci = |arguments: &[&str]| run(Command::new(tool("umoci")).args(arguments));
    umoci(&["init", "--layout", &path.display().to_string()]);
    umoci(&["new", "--image", &image]);
    umoci(&["unpack", "--image", &image, &bundle.display().to_string()]);
    let root = bundle.join("rootfs");
    for folder in ["etc", "dev", "usr/share/doc", "srv"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    fs::write(root.join("etc/word"), word).expect("a file");
    fs::write(root.join("usr/share/doc/page"), "words").expect("a file");
    fs::write(root.join("srv/gone"), "x").expect("a file");
    run(Command::new(tool("mknod")).arg(root.join("dev/null")).args(["c", "1", "3"]));
    umoci(&["repack", "--image", &image, &bundle.display().to_string()]);
    umoci(&["insert", "--image", &image, "--whiteout", "/srv/gone"]);
    let config = ["--config.user", "app", "--config.workingdir", "/srv", "--architecture", architecture];
    umoci(&[&["config", "--image", &image], &config[..]].concat());
}

/// One layout with an index of both, as a multi-platform image has it.
fn join(folder: &Path, name: &str) {
    let target = folder.join(name);
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(target.join("blobs/sha256")).expect("a folder");
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let source = folder.join(architecture);
        for blob in fs::read_dir(source.join("blobs/sha256")).expect("blobs").flatten() {
            fs::copy(blob.path(), target.join("blobs/sha256").join(blob.file_name())).expect("copied");
        }
        let index: Value =
            serde_json::from_slice(&fs::read(source.join("index.json")).expect("an index")).expect("JSON");
        let mut manifest = index["manifests"][0].clone();
        manifest["annotations"] = serde_json::json!({});
        manifest["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
        manifests.push(manifest);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let inner =
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}).to_string();
    let digest = cache::Digest::of(inner.as_bytes());
    fs::write(target.join("blobs/sha256").join(digest.to_string()), &inner).expect("the index");
    let outer = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": inner.len(),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }]});
    fs::write(target.join("index.json"), outer.to_string()).expect("the list");
    fs::write(target.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the marker");
}

fn names(tar: &Path) -> Vec<String> {
    let list = run(Command::new(tool("tar")).arg("-tf").arg(tar));
    String::from_utf8_lossy(&list).lines().map(str::to_owned).collect()
}

fn content(tar: &Path, name: &str) -> Vec<u8> {
    run(Command::new(tool("tar")).arg("-xOf").arg(tar).arg(name))
}

#[test]
fn the_server_base_is_made_from_another_image() {
    let program = program();
    let printed = program.succeed(["build", "server-base", "--from", "./image"]);
    let artifacts = ["amd64-server-base.tar", "arm64-server-base.tar", "server-base.lock"];
    for (line, artifact) in printed.lines().zip(artifacts) {
        assert!(line.starts_with(&format!("dist/{artifact}  ")), "{printed}");
    }
    for architecture in ["amd64", "arm64"] {
        let tar = program.dist().join(format!("{architecture}-server-base.tar"));
        let expected = [
            "./",
            "dev/",
            "etc/",
            "etc/ovmlayer/",
            "etc/ovmlayer/image.json",
            "etc/word",
            "srv/",
            "usr/",
            "usr/share/",
            "usr/share/doc/",
            "usr/share/doc/page",
        ];
        assert_eq!(names(&tar), expected, "{architecture}");
        let about: Value = serde_json::from_slice(&content(&tar, "etc/ovmlayer/image.json")).expect("JSON");
        assert_eq!(about["architecture"], architecture);
        assert_eq!(
            (&about["config"]["User"], &about["config"]["WorkingDir"]),
            (&"app".into(), &"/srv".into())
        );
        // An ordinary user can unpack it, which device nodes would not allow.
        let folder = program.folder().join(format!("unpacked-{architecture}"));
        fs::create_dir(&folder).expect("a folder");
        std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).expect("given away");
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let unpack = Command::new(tool("tar")).arg("-xf").arg(&tar).get_program().to_owned();
        fs::set_permissions(program.folder(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("opened");
        run(Command::new(tool("setpriv")).args(user).arg(unpack).arg("-xf").arg(&tar).arg("-C").arg(&folder));
    }
    let lock = fs::read_to_string(program.dist().join("server-base.lock")).expect("a lock");
    assert!(lock.contains("from = \"./image\"") && lock.matches("[[image]]").count() == 2, "{lock}");
}

#[test]
fn the_same_image_gives_the_same_bits_from_everywhere() {
    let program = program();
    let copy = |to: &str| {
        let to = format!("{to}:{}", program.folder().join(to).display());
        let from = format!("oci:{}:latest", program.folder().join("amd64").display());
        run(Command::new(tool("skopeo")).args(["--insecure-policy", "copy", "--quiet", &from, &to]));
    };
    copy("oci-archive");
    copy("docker-archive");
    let mut sums = Vec::new();
    for (number, from) in
        ["image", "amd64", "./oci-archive", "docker-archive:docker-archive"].iter().enumerate()
    {
        let out = format!("out-{number}");
        program.succeed([
            "build",
            "server-base",
            "--from",
            from,
            "--arch",
            "amd64",
            "--out",
            &out,
            "--jobs",
            &(number + 1).to_string(),
        ]);
        let bytes = fs::read(program.folder().join(out).join("amd64-server-base.tar")).expect("a tar");
        sums.push(cache::Digest::of(&bytes));
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    let left: Vec<PathBuf> = fs::read_dir(program.cache().join("ovmlayer-rootfs/build"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    assert_eq!(left, [] as [PathBuf; 0], "working folders are removed");
}

const RECIPE: &str = "format = 1
kind = \"rootfs\"
description = \"from an image\"
architectures = [\"amd64\", \"arm64\"]
output = \"{arch}-mine.tar.zst\"
from = \"oci:image\"

[[steps]]
files = [{ path = \"/etc/word\", content = \"mine\", mode = \"0600\", owner = \"5:6\" }]

[[steps]]
slim = [\"/usr/share/doc/*\"]
";

#[test]
fn steps_apply_and_locks_pin() {
    let program = program();
    program.write("mine.toml", RECIPE);
    let missing = program.fail(["build", "mine.toml", "--locked"]);
    assert!(missing.contains("make one with `ovmlayer-rootfs lock mine.toml`"), "{missing}");
    program.succeed(["lock", "mine.toml"]);
    assert!(program.fail(["lock", "mine.toml"]).contains("is there already"));
    program.succeed(["build", "mine.toml", "--locked", "--offline"]);
    let tar = program.dist().join("amd64-mine.tar.zst");
    let listed = names(&tar);
    assert!(
        listed.contains(&"etc/word".to_owned()) && !listed.iter().any(|name| name.contains("page")),
        "{listed:?}"
    );
    assert_eq!(content(&tar, "etc/word"), b"mine");
    let (beside, in_dist) = (program.folder().join("mine.lock"), program.dist().join("mine.lock"));
    let pinned = fs::read_to_string(&beside).expect("a lock");
    assert_eq!(fs::read_to_string(in_dist).expect("a lock"), pinned);

    // Another image under the same name.
    fs::remove_dir_all(program.folder().join("arm64")).expect("removed");
    fs::remove_dir_all(program.folder().join("arm64.bundle")).expect("removed");
    layout(&program.folder().join("arm64"), "arm64", "second");
    join(program.folder(), "image");
    for options in [&["build", "mine.toml"][..], &["build", "mine.toml", "--locked"]] {
        let errors = program.fail(options);
        assert!(errors.contains("is another image than the one in the lock"), "{errors}");
    }
    let updated = program.run(["build", "mine.toml", "--update"]);
    let errors = String::from_utf8_lossy(&updated.stderr);
    assert!(updated.status.success() && errors.contains("lock: arm64: sha256:"), "{errors}");
    assert!(!errors.contains("lock: amd64"), "{errors}");
    assert_ne!(fs::read_to_string(&beside).expect("a lock"), pinned);
    program.succeed(["build", "mine.toml", "--locked"]);
    // The lock pins what the recipe says; the command line may say something else, but not both.
    program.succeed(["build", "mine.toml", "--arch", "amd64", "--from", "amd64"]);
    let errors = program.fail(["build", "mine.toml", "--arch", "amd64", "--from", "amd64", "--locked"]);
    assert!(errors.contains("was made for something else (its image is oci:image)"), "{errors}");
}

/// From a registry with an account and a certificate of its own: the same bits as from a folder, pinned by a lock, and
/// without a network from then on.
#[test]
fn images_of_registries() {
    let certificate = Certificate::generate();
    let registry = Registry::start(&RegistrySetup {
        account: Some(("alice", "s3cret-w0rd")),
        certificate: Some(&certificate),
        tokens: None,
    });
    let name = format!("{}/team/base:v1", registry.name());
    let program = program().env("OVMLAYER_REGISTRY_PASSWORD", "s3cret-w0rd");
    let ca = certificate.path().display().to_string();
    let access = ["--ca", &ca, "--creds", "alice"];
    program.succeed([&["push", "image", &name], &access[..]].concat());
    let sums = |out: &str| {
        ["amd64", "arm64"].map(|architecture| {
            let tar = program.folder().join(out).join(format!("{architecture}-mine.tar.zst"));
            cache::Digest::of(&fs::read(tar).expect("a tar"))
        })
    };
    program.write("mine.toml", RECIPE);
    program.succeed(["build", "mine.toml"]);
    program.write("theirs.toml", RECIPE.replace("oci:image", &name));
    program.succeed([&["lock", "theirs.toml"], &access[..]].concat());
    program.succeed([&["build", "theirs.toml", "--locked", "--out", "first"], &access[..]].concat());
    assert_eq!(sums("first"), sums("dist"));
    let errors = program.fail(["build", "theirs.toml", "--update"]);
    assert!(errors.contains("--ca FILE"), "{errors}");
    drop(registry);
    program.succeed(["build", "theirs.toml", "--locked", "--offline", "--out", "second"]);
    assert_eq!(sums("second"), sums("dist"));
    program.succeed(["build", "theirs.toml", "--out", "third"]);
    assert_eq!(sums("third"), sums("dist"), "what a lock pins is in the cache");
}

/// An image on top of one of two architectures, of which nothing is run: one index, each with its own layers below.
#[test]
fn an_image_for_two_architectures_on_another_one() {
    let program = program();
    program.write(
        "mine.toml",
        "format = 1\nkind = \"image\"\ndescription = \"d\"\narchitectures = [\"amd64\", \"arm64\"]\nfrom = \"./image\"\n\
         output = \"mine.oci.tar\"\n[image]\nuser = \"1000\"\n[[steps]]\n\
         files = [{ path = \"/srv/own\", content = \"mine\" }, { path = \"/etc/word\", content = \"other\" }]\n[[steps]]\nslim = [\"/usr/share/doc\"]\n",
    );
    program.succeed(["build", "mine.toml"]);
    let archive = format!("oci-archive:{}:latest", program.dist().join("mine.oci.tar").display());
    for architecture in ["amd64", "arm64"] {
        let folder = program.folder().join(format!("mine-{architecture}"));
        let copy =
            ["copy", "--override-arch", architecture, &archive, &format!("oci:{}:x", folder.display())];
        run(Command::new(tool("skopeo")).args(copy));
        let bundle = folder.with_extension("bundle");
        let image = format!("{}:x", folder.display());
        run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(&bundle));
        let root = bundle.join("rootfs");
        assert_eq!(fs::read_to_string(root.join("srv/own")).expect("a file"), "mine");
        // As long as what it replaces, and of the same time.
        assert_eq!(fs::read_to_string(root.join("etc/word")).expect("a file"), "other");
        assert!(!root.join("usr/share/doc").exists() && root.join("usr/share").exists());
        assert!(!root.join("srv/gone").exists());
        let inspected =
            run(Command::new(tool("skopeo")).args(["inspect", "--config", &format!("oci:{image}")]));
        let config: Value = serde_json::from_slice(&inspected).expect("JSON");
        assert_eq!(config["architecture"], architecture);
        assert_eq!(
            (&config["config"]["User"], &config["config"]["WorkingDir"]),
            (&"1000".into(), &"/srv".into())
        );
    }
    let lock = fs::read_to_string(program.dist().join("mine.lock")).expect("a lock");
    assert!(lock.contains("architecture = \"arm64\""), "{lock}");
}

#[test]
fn what_cannot_be_done_is_told() {
    let program = program();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["build", "base-rootfs", "--from", "image"], 2, "recipe `base-rootfs` is not made from an image"),
        (&["build", "server-base", "--from", "No Image"], 2, "is not a reference to an image"),
        (&["build", "server-base", "--from", "./none"], 1, "is not an OCI image layout"),
        (&["build", "server-base", "--from", "amd64"], 1, "has no image for linux/arm64: it has linux/amd64"),
        (&["build", "server-base", "--from", "oci:image:v9"], 1, "no image `v9`; its tags are latest"),
        (&["build", "server-base", "--offline"], 1, "the cache does not have"),
    ];
    for (arguments, status, message) in cases {
        let result = program.run(arguments);
        let errors = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(status), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
        let left = fs::read_dir(program.dist()).map(|entries| entries.flatten().count()).unwrap_or(0);
        assert_eq!(left, 0, "{arguments:?}: nothing is left");
    }
    // One layer is damaged: nothing is written, for neither architecture.
    let blobs = fs::read_dir(program.folder().join("image/blobs/sha256")).expect("blobs").flatten();
    let largest = blobs.max_by_key(|blob| blob.metadata().expect("a file").len()).expect("a blob").path();
    let mut bytes = fs::read(&largest).expect("a blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&largest, bytes).expect("written");
    let errors = program.fail(["build", "server-base", "--from", "image"]);
    assert!(errors.contains("cannot "), "{errors}");
    assert_eq!(fs::read_dir(program.dist()).expect("dist").count(), 0, "{errors}");
}
