use super::*;
use proptest::prelude::*;

fn universe(indices: &[(&str, i32, &str)]) -> Universe {
    let mut universe = Universe::new("amd64");
    for (id, pin, text) in indices {
        universe.add_index(Origin { pin: *pin, ..Origin::new(id) }, text.as_bytes().to_vec()).unwrap();
    }
    universe
}

const ZSH: &str = "Package: zsh\nVersion: 5.9-8\nArchitecture: amd64\nMulti-Arch: foreign\nSource: zsh-src (5.9-7)\n\
    Depends: libc6 (>= 2.34)\nSection: shells\nPriority: optional\nInstalled-Size: 2500\n\
    Filename: pool/main/z/zsh/zsh_5.9-8_amd64.deb\nSize: 934000\n\
    SHA256: 00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n";

#[test]
fn a_package_shows_its_fields() {
    let universe = universe(&[("trixie", 500, ZSH)]);
    let zsh = universe.candidate("zsh").unwrap();
    assert_eq!((zsh.name(), zsh.version(), zsh.architecture()), ("zsh", "5.9-8", "amd64"));
    assert_eq!((zsh.multi_arch(), zsh.priority()), (MultiArch::Foreign, Some(Priority::Optional)));
    assert_eq!(zsh.source(), Source { name: "zsh-src", version: "5.9-7" });
    assert_eq!((zsh.size(), zsh.installed_size()), (Some(934_000), Some(2500)));
    assert_eq!(zsh.filename(), Some("pool/main/z/zsh/zsh_5.9-8_amd64.deb"));
    assert_eq!(zsh.sha256().map(|digest| (digest[1], digest[31])), Some((0x11, 0xff)));
    assert_eq!(
        zsh.relations("Depends").map(|a| a.unwrap().to_string()).collect::<Vec<_>>(),
        ["libc6 (>= 2.34)"]
    );
    assert_eq!(zsh.stanza().text(), ZSH);
    assert_eq!((zsh.origin().id.as_str(), zsh.section()), ("trixie", Some("shells")));
    assert!(!zsh.is_essential() && !zsh.is_protected());
}

fn stanza(name: &str, version: &str, more: &str) -> String {
    format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{more}\n")
}

#[test]
fn the_candidate_has_the_highest_pin_then_the_highest_version() {
    let texts = ["1.0-1", "1.0-1+deb1", "1.1~bpo1", "9"].map(|version| stanza("a", version, ""));
    for (summary, pins, expected) in [
        ("updates win over the release", vec![(500, 0), (500, 1)], "1.0-1+deb1"),
        ("the order of suites does not matter", vec![(500, 1), (500, 0)], "1.0-1+deb1"),
        ("backports wait to be asked for", vec![(500, 0), (100, 2)], "1.0-1"),
        ("nothing else is there", vec![(1, 3), (100, 2)], "1.1~bpo1"),
    ] {
        let names = ["a", "b"];
        let indices: Vec<_> =
            pins.iter().zip(names).map(|((pin, text), name)| (name, *pin, texts[*text].as_str())).collect();
        let universe = universe(&indices);
        assert_eq!(universe.candidate("a").map(Package::version), Some(expected), "{summary}");
        assert_eq!(universe.versions("a").count(), 2, "{summary}");
    }
}

#[test]
fn a_package_listed_twice_is_one_with_two_origins() {
    let text = stanza("a", "1", "SHA256: 11\n");
    let other = stanza("a", "1", "SHA256: 22\n");
    let universe = universe(&[("low", 1, &text), ("high", 500, &text), ("other", 500, &other)]);
    assert_eq!(universe.len(), 2);
    let candidate = universe.candidate("a").unwrap();
    let origins: Vec<_> = universe.origins_of(candidate.id()).map(|origin| origin.id.as_str()).collect();
    assert_eq!(origins, ["low", "high"]);
}

#[test]
fn multi_arch_decides_who_provides_a_qualified_name() {
    let text = format!(
        "{}\n{}\n{}",
        stanza("user", "1", "Depends: python:any, native:amd64\n"),
        "Package: python\nVersion: 3\nArchitecture: amd64\nMulti-Arch: allowed\nProvides: py (= 3)\n\n",
        "Package: native\nVersion: 1\nArchitecture: amd64\n\n",
    );
    let universe = universe(&[("trixie", 500, &text)]);
    for (name, expected) in [
        ("python:any", vec!["python"]),
        ("py", vec!["python"]),
        ("py:any", vec!["python"]),
        ("native:amd64", vec!["native"]),
        ("native:any", vec![]),
    ] {
        let providers: Vec<_> = universe.providers(name).map(Package::name).collect();
        assert_eq!(providers, expected, "{name}");
    }
}

#[test]
fn what_is_no_index_is_refused() {
    for (summary, text, expected) in [
        ("not text", &b"\xff"[..], "index of t is not UTF-8"),
        (
            "no version",
            b"Package: a\nArchitecture: all\n",
            "a package in the index of t has no usable Version: `Package: a`",
        ),
        (
            "a name that is a path",
            b"Package: ../a\nVersion: 1\nArchitecture: all\n",
            "a package in the index of t has no usable Package: `Package: ../a`",
        ),
        (
            "another architecture",
            b"Package: a\nVersion: 1\nArchitecture: arm64\n",
            "package a in the index of t is for arm64",
        ),
        (
            "a relation without end",
            b"Package: a\nVersion: 1\nArchitecture: all\nDepends: b (>= 1\n",
            "package a in the index of t: cannot read the relation at `b (>= 1`",
        ),
    ] {
        let error = Universe::new("amd64").add_index(Origin::new("t"), text.to_vec()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{summary}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_taken_or_refused(
        lines in prop::collection::vec(
            prop_oneof![
                Just("Package: a".to_owned()), Just("Version: 1".to_owned()), Just("Architecture: all".to_owned()),
                Just(String::new()), "(Depends|Breaks|Provides|Multi-Arch|Source|Priority|Essential): [a-c:(=1), |]{0,12}",
                "[ -~é]{0,8}",
            ],
            0..30,
        )
    ) {
        let mut universe = Universe::new("amd64");
        if universe.add_index(Origin::new("t"), lines.join("\n").into_bytes()).is_ok() {
            for package in universe.packages() {
                prop_assert!(universe.candidate(package.name()).is_some());
                let _ = (package.source(), package.sha256(), package.size(), package.relations("Depends").count());
            }
            let request = crate::solver::Request::with_essential(["a"]);
            let _ = crate::solver::solve(&universe, &request).map_err(|error| error.to_string());
        }
    }
}
