//! Both notations of sources, and what is wrong with them, by line.

use ovmlayer_archive::source::{SignedBy, Source, SourceError, parse_deb822, parse_one_line};

fn brief(source: &Source) -> String {
    let signed = match &source.signed_by {
        SignedBy::Distribution => String::new(),
        SignedBy::File(path) => format!(" by {}", path.display()),
        SignedBy::Inline(text) => format!(" by {} lines", text.lines().count()),
        SignedBy::Fingerprints(prints) => format!(" by {}", prints.join("+")),
    };
    let limited = source.architectures.join("+");
    format!("{} {} {} [{limited}]{signed}", source.uri, source.suite, source.components.join("+"))
}

fn outcome(found: Vec<Result<Source, SourceError>>) -> String {
    let lines = found.into_iter().map(|one| match one {
        Ok(source) => brief(&source),
        Err(error) => format!("error: {error}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn one_line_sources() {
    for (summary, text, expected) in [
        ("nothing", "# a comment\n\n", ""),
        (
            "plain",
            "deb http://m/debian/ trixie main contrib # why\n",
            "http://m/debian trixie main+contrib []",
        ),
        ("sources of packages", "deb-src http://m/debian trixie main", ""),
        (
            "options",
            "deb [arch=amd64,arm64 signed-by=/k.gpg lang=none] https://m/x s c",
            "https://m/x s c [amd64+arm64] by /k.gpg",
        ),
        ("flat", "deb file:/srv/repo ./", "file:/srv/repo ./  []"),
        ("by fingerprint", "deb [signed-by=ABCD,EF01] http://m s c", "http://m s c [] by ABCD+EF01"),
        ("no type", "\nhttp://m s c", "error: f, line 2: `http://m` is not a type of source: use `deb`"),
        ("no suite", "deb http://m", "error: f, line 1: there is no suite"),
        ("no component", "deb http://m s", "error: f, line 1: there is no component after the suite"),
        (
            "open brackets",
            "deb [arch=amd64 http://m s c",
            "error: f, line 1: the options `[arch=amd64 http://m s c` are not `[name=value …]`",
        ),
        (
            "no address",
            "deb cdrom:[x]/ s c",
            "error: f, line 1: `cdrom:[x]/` is not an address of the kinds http, https, file or copy",
        ),
        (
            "flat with components",
            "deb http://m ./ main",
            "error: f, line 1: suite `./` ends in `/`, which means a flat archive: it has no components",
        ),
        ("trusted=no is the default", "deb [trusted=no] http://m s c", "http://m s c []"),
        (
            "one error does not hide the rest",
            "nonsense\ndeb http://m s c",
            "error: f, line 1: `nonsense` is not a type of source: use `deb`\nhttp://m s c []",
        ),
    ] {
        assert_eq!(outcome(parse_one_line("f", text).collect()), expected, "{summary}");
    }
    let trusted = outcome(parse_one_line("f", "deb [trusted=yes] http://m s c").collect());
    assert!(trusted.starts_with("error: f, line 1: `trusted` would switch off"), "{trusted}");
}

#[test]
fn deb822_sources() {
    let key =
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END PGP PUBLIC KEY BLOCK-----\n";
    let inline = format!("Types: deb\nURIs: http://m\nSuites: s\nComponents: c\n{key}");
    for (summary, text, expected) in [
        ("nothing", "# a comment\n\n\n", ""),
        (
            "every combination",
            "Types: deb deb-src\nURIs: http://a http://b/\nSuites: s s-updates\nComponents: main\n contrib\nArchitectures: amd64\nSigned-By: /k",
            "http://a s main+contrib [amd64] by /k\nhttp://a s-updates main+contrib [amd64] by /k\nhttp://b s main+contrib [amd64] by /k\nhttp://b s-updates main+contrib [amd64] by /k",
        ),
        ("inline key", inline.as_str(), "http://m s c [] by 4 lines"),
        ("switched off", "Enabled: no\nTypes: deb\nURIs: http://a\nSuites: s\nComponents: c", ""),
        ("sources of packages", "Types: deb-src\nURIs: http://a\nSuites: s\nComponents: c", ""),
        (
            "comments within",
            "# x\nTypes: deb\n# http://no\nURIs: http://a\nSuites: s\nComponents: c\n",
            "http://a s c []",
        ),
        ("no types", "URIs: http://a\n", "error: f, line 1: there is no field `Types`"),
        ("no suites", "\n\nTypes: deb\nURIs: http://a\n", "error: f, line 3: there is no field `Suites`"),
        (
            "another type",
            "Types: deb\n rpm\nURIs: http://a\nSuites: s",
            "error: f, line 2: `rpm` is not a type of source: use `deb`",
        ),
        (
            "a bad address",
            "Types: deb\nURIs: http://a\n ftp://b\nSuites: s\nComponents: c",
            "error: f, line 3: `ftp://b` is not an address of the kinds http, https, file or copy",
        ),
        (
            "no components",
            "Types: deb\nURIs: http://a\nSuites: s\n",
            "error: f, line 3: there is no component after the suite",
        ),
        (
            "a line that is no field",
            "Types: deb\nhello\n\nTypes: deb\nURIs: http://a\nSuites: s\nComponents: c",
            "error: f, line 2: expected `Name: value`, or a continuation of it that begins with a blank\nhttp://a s c []",
        ),
    ] {
        assert_eq!(outcome(parse_deb822("f", text)), expected, "{summary}");
    }
    let trusted = "Types: deb\nURIs: http://a\nSuites: s\nComponents: c\nTrusted: yes";
    let found = outcome(parse_deb822("f", trusted));
    assert!(found.starts_with("error: f, line 5: `trusted` would switch off"), "{found}");
}

#[test]
fn where_the_release_file_is() {
    for (line, expected) in [
        ("deb http://m/debian trixie main", "http://m/debian/dists/trixie/"),
        ("deb http://m/repo ./", "http://m/repo/"),
        ("deb http://m/repo /", "http://m/repo/"),
        ("deb http://m/repo sub/dir/", "http://m/repo/sub/dir/"),
        ("deb http://m/s buster/updates main", "http://m/s/dists/buster/updates/"),
    ] {
        let source = parse_one_line("f", line).next().unwrap().unwrap();
        assert_eq!(source.release_folder(), expected, "{line}");
    }
}
