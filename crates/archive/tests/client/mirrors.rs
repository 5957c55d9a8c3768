//! Where packages come from, by what the user says, what the machine's apt says, and what is built in.

use std::path::Path;

use ovmlayer_archive::mirror::{
    Decided, Distribution, MirrorError, Mirrors, Wanted, choose, pin, standard_sources,
};

fn wanted<'a>(distribution: Distribution, architecture: &'a str, apt: &'a Path) -> Wanted<'a> {
    Wanted { distribution, architecture, mirror: None, security_mirror: None, snapshot: None, apt }
}

fn brief(found: Result<Mirrors, MirrorError>) -> String {
    match found {
        Ok(mirrors) => format!("{:?} {} {}", mirrors.decided, mirrors.main, mirrors.security),
        Err(error) => format!("error: {error}"),
    }
}

fn apt(list: &str, sources: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sources.list.d")).unwrap();
    std::fs::write(folder.path().join("sources.list"), list).unwrap();
    std::fs::write(folder.path().join("sources.list.d/x.sources"), sources).unwrap();
    folder
}

use Distribution::{Debian, Ubuntu};

#[test]
fn the_machine_decides_if_it_serves_the_distribution() {
    let stanza = |uri: &str, suites: &str, key: &str| {
        format!("Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {key}\n\n")
    };
    let debian_key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let ubuntu_key = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";
    let two = stanza("http://m/debian", "bookworm bookworm-updates", debian_key)
        + &stanza("http://m/debian-security", "bookworm-security", debian_key);
    let ubuntu = stanza("http://u/ubuntu/", "noble noble-updates", ubuntu_key)
        + &stanza("http://s/ubuntu/", "noble-security", ubuntu_key);
    let ports = stanza("http://p/ubuntu-ports", "noble noble-security", ubuntu_key);
    let strange = stanza("http://odd/place", "trixie", debian_key);
    let other = stanza("http://o/debian", "bookworm", "/etc/apt/keyrings/other.gpg");
    for (summary, list, sources, distribution, architecture, expected) in [
        (
            "main and security",
            "",
            two.as_str(),
            Debian,
            "arm64",
            "Machine http://m/debian http://m/debian-security",
        ),
        (
            "one line",
            "deb http://m/debian bookworm main\n",
            "",
            Debian,
            "amd64",
            "Machine http://m/debian http://m/debian-security",
        ),
        (
            "sources.list comes first",
            "deb http://l/debian sid main\n",
            two.as_str(),
            Debian,
            "amd64",
            "Machine http://l/debian http://m/debian-security",
        ),
        (
            "known by its key",
            "deb http://x/debian-security bookworm-security main\n",
            strange.as_str(),
            Debian,
            "amd64",
            "Machine http://odd/place http://x/debian-security",
        ),
        ("Ubuntu", "", ubuntu.as_str(), Ubuntu, "amd64", "Machine http://u/ubuntu http://s/ubuntu"),
        (
            "Ubuntu elsewhere than its ports",
            "",
            ubuntu.as_str(),
            Ubuntu,
            "arm64",
            "BuiltIn http://ports.ubuntu.com/ubuntu-ports http://ports.ubuntu.com/ubuntu-ports",
        ),
        (
            "Ubuntu's ports",
            "",
            ports.as_str(),
            Ubuntu,
            "arm64",
            "Machine http://p/ubuntu-ports http://p/ubuntu-ports",
        ),
        (
            "Ubuntu without its ports",
            "",
            ports.as_str(),
            Ubuntu,
            "amd64",
            "BuiltIn http://archive.ubuntu.com/ubuntu http://security.ubuntu.com/ubuntu",
        ),
        (
            "somebody else's archive",
            "",
            other.as_str(),
            Ubuntu,
            "amd64",
            "BuiltIn http://archive.ubuntu.com/ubuntu http://security.ubuntu.com/ubuntu",
        ),
        (
            "lines that cannot be read",
            "nonsense\ndeb [trusted=yes] http://t/debian x y\ndeb http://m/debian bookworm main\n",
            "hello\n",
            Debian,
            "amd64",
            "Machine http://m/debian http://m/debian-security",
        ),
    ] {
        let folder = apt(list, sources);
        assert_eq!(brief(choose(&wanted(distribution, architecture, folder.path()))), expected, "{summary}");
    }
    for (summary, list, sources) in [
        ("nothing", "", ""),
        ("Ubuntu's", "", ubuntu.as_str()),
        ("somebody else's archive", "", other.as_str()),
    ] {
        let folder = apt(list, sources);
        let found = choose(&wanted(Debian, "amd64", folder.path()));
        assert!(matches!(found, Err(MirrorError::NoMirror { .. })), "{summary}: {found:?}");
        assert!(found.unwrap_err().to_string().contains("--mirror"), "{summary}");
    }
}

#[test]
fn what_is_given_wins_and_a_pin_never_gives_way() {
    let folder = apt("deb http://m/debian bookworm main\n", "");
    let base = wanted(Debian, "amd64", folder.path());
    let date = Some("20250520".parse().unwrap());
    for (summary, wanted, expected) in [
        (
            "given",
            Wanted { mirror: Some("http://g/debian/"), ..base },
            "Given http://g/debian http://g/debian-security",
        ),
        (
            "both given",
            Wanted { mirror: Some("http://g/x"), security_mirror: Some("http://g/y"), ..base },
            "Given http://g/x http://g/y",
        ),
        (
            "security alone",
            Wanted { security_mirror: Some("http://g/y/"), ..base },
            "Machine http://m/debian http://g/y",
        ),
        (
            "Ubuntu's security is in its mirror",
            Wanted { distribution: Ubuntu, mirror: Some("http://g/u"), ..base },
            "Given http://g/u http://g/u",
        ),
        (
            "a snapshot",
            Wanted { snapshot: date, ..base },
            "Snapshot http://snapshot.debian.org/archive/debian/20250520T000000Z http://snapshot.debian.org/archive/debian-security/20250520T000000Z",
        ),
        (
            "a snapshot of Ubuntu",
            Wanted { distribution: Ubuntu, snapshot: date, ..base },
            "Snapshot https://snapshot.ubuntu.com/ubuntu/20250520T000000Z https://snapshot.ubuntu.com/ubuntu/20250520T000000Z",
        ),
        (
            "a mirror of snapshots",
            Wanted { mirror: Some("http://g/{snapshot}/debian"), snapshot: date, ..base },
            "Given http://g/20250520T000000Z/debian http://g/20250520T000000Z/debian-security",
        ),
    ] {
        assert_eq!(brief(choose(&wanted)), expected, "{summary}");
    }
    let unpinned = choose(&Wanted { mirror: Some("http://g/debian"), snapshot: date, ..base });
    assert!(matches!(unpinned, Err(MirrorError::SnapshotDoesNotApply { .. })), "{unpinned:?}");
    let undated = choose(&Wanted { mirror: Some("http://g/{snapshot}/debian"), ..base });
    assert!(matches!(undated, Err(MirrorError::SnapshotNeeded { .. })), "{undated:?}");
    let lonely = choose(&Wanted { mirror: Some("http://g/x"), ..base });
    assert!(matches!(lonely, Err(MirrorError::NoSecurity { .. })), "{lonely:?}");
    assert!(pin("https://further.example/{snapshot}", date).is_ok());
}

#[test]
fn the_suites_of_a_base_image() {
    let mirrors = Mirrors { main: "M".to_owned(), security: "S".to_owned(), decided: Decided::Given };
    let list = |distribution, suite| {
        standard_sources(distribution, suite, &["main".to_owned()], &mirrors)
            .iter()
            .map(|source| format!("{} {}", source.uri, source.suite))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(list(Debian, "trixie"), "M trixie, M trixie-updates, S trixie-security");
    assert_eq!(list(Ubuntu, "noble"), "M noble, M noble-updates, S noble-security");
    assert_eq!(list(Debian, "sid"), "M sid");
}
