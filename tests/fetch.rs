//! `fetch` as a job of continuous integration meets it, with a stand-in for GitHub's API.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cache::Digest;
use serde_json::Value;
use testkit::{Asked, GithubApi, Member, Program, Published, Releases, Reply, TarBuilder};

const TOKEN: &str = "ghs_t0ken";

fn program() -> Program<'static> {
    Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"))
}

/// A program of this architecture that does nothing.
fn elf(architecture: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend(if architecture == "amd64" { [62, 0] } else { [183, 0] });
    bytes
}

/// An archive with one program.
fn archive(program: &str, architecture: &str) -> Vec<u8> {
    TarBuilder::new().member(Member::file(program, elf(architecture)).mode(0o755)).build()
}

/// The releases of the three repositories, newest by date first, which is not the order of versions.
fn releases() -> Releases {
    let oocana = |tag| {
        let mut release = Published::new(tag);
        for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
            let name = format!("oocana-cli-{machine}-unknown-linux-gnu");
            release = release.asset(format!("{name}.tar.gz"), archive(&name, architecture));
        }
        release
    };
    let ovmlayer = |tag| {
        let mut release = Published::new(tag);
        let mut sums = String::new();
        for architecture in ["amd64", "arm64"] {
            let (name, bytes) =
                (format!("ovmlayer-{architecture}.tar"), archive("ovmlayer/ovmlayer", architecture));
            sums.push_str(&format!("{}  {name}\n", Digest::of(&bytes)));
            release = release.asset_without_digest(name, bytes);
        }
        release.asset_without_digest("SHA256SUMS", sums)
    };
    let rootfs = |tag: &'static str| {
        let asset = |architecture: &str| format!("{architecture}-server-base.tar");
        Published::new(tag)
            .asset(asset("amd64"), format!("amd64 of {tag}"))
            .asset(asset("arm64"), format!("arm64 of {tag}"))
    };
    BTreeMap::from([
        (
            "oomol/oocana-rust",
            vec![
                oocana("v0.9.9"),
                oocana("v0.31.0-rc.1"),
                oocana("v0.40.0").flagged("draft"),
                oocana("v0.27.18"),
                oocana("v0.27.9"),
            ],
        ),
        (
            "oomol/ovmlayer",
            vec![ovmlayer("ovmlayer@0.5.1"), ovmlayer("ovmlayer@0.6.0").flagged("prerelease")],
        ),
        (
            "oomol/ovmlayer-rootfs",
            vec![
                Published::new("executor-layer@9.0.0"),
                rootfs("server-base@0.5.0"),
                rootfs("server-base@0.6.0"),
                Published::new("v7.0.0"),
            ],
        ),
    ])
}

#[test]
fn the_highest_versions_for_both_architectures() {
    let api = GithubApi::start(releases(), |asked, _| {
        let own = asked.request.target.contains("oomol/ovmlayer/");
        let expected = if own { "Bearer ghs_0wn" } else { "Bearer ghs_t0ken" };
        let is_asset = asked.request.target.starts_with("/assets/");
        assert!(is_asset || asked.request.header("authorization") == Some(expected), "{:?}", asked.request);
        None
    });
    let program = program()
        .env("GITHUB_API_URL", api.url())
        .env("GITHUB_TOKEN", TOKEN)
        .env("GITHUB_TOKEN_OVMLAYER", "ghs_0wn");
    let output = program.run(["fetch", "--arch", "amd64,arm64", "--out", "context"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("ghs_") && !stdout.contains("ghs_"), "{stdout}{stderr}");
    for architecture in ["amd64", "arm64"] {
        let folder = program.folder().join("context").join(architecture);
        for name in ["oocana", "ovmlayer"] {
            assert_eq!(fs::read(folder.join(name)).expect("a program"), elf(architecture));
            let mode = fs::metadata(folder.join(name)).expect("a program").permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
        }
        let rootfs = fs::read_to_string(folder.join("rootfs.tar")).expect("a root");
        assert_eq!(rootfs, format!("{architecture} of server-base@0.6.0"));
        let versions = fs::read(folder.join("versions.json")).expect("versions");
        let versions: Value = serde_json::from_slice(&versions).expect("JSON");
        for (name, tag) in
            [("oocana", "v0.27.18"), ("ovmlayer", "ovmlayer@0.5.1"), ("rootfs", "server-base@0.6.0")]
        {
            assert_eq!(versions[name], tag);
        }
        assert_eq!(versions["files"]["rootfs.tar"]["sha256"], Digest::of(rootfs.as_bytes()).to_string());
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 4, "nothing else is left there");
    }
    assert_eq!(stdout.lines().count(), 6);
}

#[test]
fn chosen_releases_and_what_is_there_already() {
    let api = GithubApi::start(releases(), |_, times| (times == 1).then(|| Reply::new(502, "")));
    let program = program();
    let fetch = |out: &str| {
        let chosen =
            ["--arch", "arm64", "--rootfs", "server-base@0.5.0", "--oocana", "none", "--ovmlayer", "none"];
        let url = api.url();
        let places = ["--api-url", &url, "--out", out, "--json"];
        let printed = program.succeed([&["fetch"], &chosen[..], &places].concat());
        serde_json::from_str::<Value>(&printed).expect("JSON")
    };
    let printed = fetch("one");
    assert_eq!(printed[0]["tag"], "server-base@0.5.0");
    assert_eq!(printed[0]["path"], "one/rootfs.tar");
    let text = fs::read_to_string(program.folder().join("one/rootfs.tar")).expect("a root");
    assert_eq!(text, "arm64 of server-base@0.5.0");
    fetch("two");
    assert_eq!(api.fetched(), 1, "what is in the cache is not fetched again");
}

#[test]
fn releases_are_looked_for_on_all_pages() {
    let mut list = vec![Published::new("executor-layer@1.0.0"); 130];
    let root = |tag: &'static str| Published::new(tag).asset("amd64-server-base.tar", tag);
    list[3] = root("server-base@0.9.0");
    list[100] = root("server-base@0.10.0");
    list[129] = root("server-base@0.8.0");
    let api = GithubApi::start(BTreeMap::from([("oomol/ovmlayer-rootfs", list)]), |_, _| None);
    let program = program();
    program.succeed([
        "fetch",
        "--arch",
        "amd64",
        "--oocana",
        "none",
        "--ovmlayer",
        "none",
        "--api-url",
        &api.url(),
    ]);
    let text = fs::read_to_string(program.folder().join("components/rootfs.tar")).expect("a root");
    assert_eq!(text, "server-base@0.10.0");
}

#[test]
fn what_is_not_what_was_published_is_not_used() {
    let published = |digest: &str| {
        let root = Published::new("server-base@1.0.0");
        let root = match digest {
            "none" => root.asset_without_digest("amd64-server-base.tar", "a root"),
            _ => root.asset("amd64-server-base.tar", "a root"),
        };
        match digest {
            "two" => root.asset("SHA256SUMS", format!("{}  amd64-server-base.tar\n", Digest::of(b"another"))),
            _ => root,
        }
    };
    for (digest, expected) in [
        ("none", "nothing says what digest `amd64-server-base.tar`"),
        ("two", "by that of `SHA256SUMS`"),
        ("wrong", "but "),
    ] {
        let releases = BTreeMap::from([("oomol/ovmlayer-rootfs", vec![published(digest)])]);
        let wrong = digest == "wrong";
        let api = GithubApi::start(releases, move |asked, _| {
            (wrong && asked.request.target.starts_with("/assets/")).then(|| Reply::new(200, "a rook"))
        });
        let program = program();
        let arguments =
            ["fetch", "--arch", "amd64", "--oocana", "none", "--ovmlayer", "none", "--api-url", &api.url()];
        let message = program.fail(arguments);
        assert!(message.contains(expected), "{digest}: {message}");
        assert!(!program.folder().join("components").exists(), "{digest}: nothing is written");
    }
}

#[test]
fn limits_and_gaps_are_explained() {
    let limited = |asked: &Asked, _| {
        let reset = "1700000000";
        let answers = asked.request.target.contains("/oocana-rust/");
        answers.then(|| {
            Reply::new(403, "{}").with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", reset)
        })
    };
    let server = GithubApi::start(releases(), limited);
    let program = program();
    let url = server.url();
    let only = |name: &'static str, tag: &'static str| -> Vec<&'static str> {
        let none = ["oocana", "ovmlayer", "rootfs"].into_iter().filter(|other| *other != name);
        let option = |name: &str| match name {
            "oocana" => "--oocana",
            "ovmlayer" => "--ovmlayer",
            _ => "--rootfs",
        };
        let none = none.flat_map(|name| [option(name), "none"]);
        ["fetch", option(name), tag].into_iter().chain(none).collect()
    };
    let cases: [(&str, Vec<&str>, &str); 6] = [
        (
            "a limit",
            only("oocana", "latest"),
            "no more requests until 2023-11-14 22:13:20 UTC; set GITHUB_TOKEN",
        ),
        (
            "an unknown tag",
            only("rootfs", "server-base@9"),
            "has no release `server-base@9`: the newest are executor-layer@9.0.0",
        ),
        ("no file", only("rootfs", "v7.0.0"), "has no file of rootfs for"),
        (
            "an unknown repository",
            [only("rootfs", "latest"), vec!["--repository", "rootfs=a/b"]].concat(),
            "there is no repository `a/b`, or it is a private one",
        ),
        (
            "nothing of that kind",
            [only("rootfs", "latest"), vec!["--repository", "rootfs=oomol/ovmlayer"]].concat(),
            "has no release of rootfs: their tags are server-base@VERSION",
        ),
        ("nothing at all", only("none", "none"), "there is nothing to fetch"),
    ];
    for (summary, mut arguments, expected) in cases {
        if summary == "nothing at all" {
            arguments = vec!["fetch", "--oocana", "none", "--ovmlayer", "none", "--rootfs", "none"];
        }
        arguments.extend(["--api-url", &url]);
        let message = program.fail(arguments);
        assert!(message.contains(expected), "{summary}: {message}");
    }
    let message = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs")).env("GH_TOKEN", TOKEN).fail([
        "fetch",
        "--api-url",
        "http://api.example",
    ]);
    assert!(message.contains("not encrypted") && !message.contains(TOKEN), "{message}");
}
