use super::*;
use crate::universe::Origin;

/// One package per line: `name version: Field value; Field value`.
fn universe(lines: &str) -> Universe {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, fields) = line.split_once(':').unwrap();
        let (name, version) = head.split_once(' ').unwrap();
        text += &format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n");
        for field in fields.split(';').map(str::trim).filter(|field| !field.is_empty()) {
            let (field, value) = field.split_once(' ').unwrap();
            text += &format!("{field}: {value}\n");
        }
        text += &format!("SHA256: {}\n\n", text.len());
    }
    let mut universe = Universe::new("amd64");
    universe.add_index(Origin::new("trixie"), text.into_bytes()).unwrap();
    universe
}

fn answer(lines: &str, asked: &str) -> String {
    let universe = universe(lines);
    let items =
        asked.split(' ').filter(|item| !item.starts_with('?')).map(|item| item.parse().unwrap()).collect();
    let request =
        Request { items, essential: asked.contains("?essential"), required: asked.contains("?required") };
    match solve(&universe, &request) {
        Ok(solution) => solution
            .packages
            .iter()
            .map(|p| format!("{}={}", p.name(), p.version()))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn choices_are_those_of_apt() {
    for (summary, packages, asked, expected) in [
        ("needs of needs", "a 1: Depends b\nb 1: Depends c\nc 1:", "a", "c=1 b=1 a=1"),
        ("recommendations stay out", "a 1: Recommends b; Suggests b\nb 1:", "a", "a=1"),
        ("the first alternative", "a 1: Depends c | b\nb 1:\nc 1:", "a", "c=1 a=1"),
        ("the second, when the first cannot be", "a 1: Depends b | c\nb 1: Depends x\nc 1:", "a", "c=1 a=1"),
        ("one that is wanted anyway", "a 1: Depends b | c\nb 1:\nc 1:", "a c", "c=1 a=1"),
        (
            "the real package before a provider",
            "a 1: Depends v\np 1: Provides v; Priority required\nv 1:",
            "a",
            "v=1 a=1",
        ),
        (
            "the provider of higher priority",
            "a 1: Depends v\nq 1: Provides v; Priority extra\np 1: Provides v; Priority optional",
            "a",
            "p=1 a=1",
        ),
        ("among equals the one met last", "a 1: Depends v\np 1: Provides v\nq 1: Provides v", "a", "q=1 a=1"),
        (
            "an unversioned provider fits no version",
            "a 1: Depends v (>= 1)\np 1: Provides v (= 1)\nq 1: Provides v",
            "a",
            "p=1 a=1",
        ),
        ("the highest version", "a 1:\na 2~rc1:\na 1.10:", "a", "a=2~rc1"),
        ("an exact version", "a 1: Depends b (= 1)\na 2: Depends b (= 2)\nb 1:", "a=1", "b=1 a=1"),
        ("a suite", "a 1:", "a/trixie", "a=1"),
        ("a virtual name with one provider", "p 1: Provides v", "v", "p=1"),
        ("one is left out", "a 1: Depends b | c\nb 1:\nc 1:", "a b-", "c=1 a=1"),
        (
            "essential ones",
            "a 1:\ne 1: Essential yes; Depends f\nf 1:\nr 1: Priority required",
            "?essential a",
            "f=1 e=1 a=1",
        ),
        ("required ones", "a 1:\nr 1: Priority required", "?required a", "a=1 r=1"),
        ("Multi-Arch: allowed", "a 1: Depends python:any\npython 3: Multi-Arch allowed", "a", "python=3 a=1"),
        (
            "one choice ruled out by another",
            "a 1: Depends x | y\nb 1: Conflicts x\nx 1:\ny 1:",
            "a b",
            "y=1 a=1 b=1",
        ),
        (
            "what turned out unneeded is dropped",
            "a 1: Depends b | c\nb 1: Depends d, x\nc 1:\nd 1:",
            "a",
            "c=1 a=1",
        ),
    ] {
        assert_eq!(answer(packages, asked), expected, "{summary}");
    }
}

#[test]
fn a_suite_is_followed_where_the_candidates_do_not_suffice() {
    let mut universe = universe("a 1: Depends b\nb 1:\nc 1:");
    let text = "Package: a\nVersion: 2\nArchitecture: all\nDepends: b (>= 2), c\n\n\
        Package: b\nVersion: 2\nArchitecture: all\n\nPackage: c\nVersion: 2\nArchitecture: all\n";
    let backports = Origin { pin: Origin::AUTOMATIC_UPGRADES, ..Origin::new("trixie-backports") };
    universe.add_index(backports, text.as_bytes().to_vec()).unwrap();
    for (item, expected) in
        [("a", ["b (1)", "a (1)", ""]), ("a/trixie-backports", ["b (2)", "c (1)", "a (2)"])]
    {
        let request = Request { items: vec![item.parse().unwrap()], ..Request::default() };
        let solution = solve(&universe, &request).unwrap();
        let shown: Vec<_> = solution.packages.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>(), "{item}");
    }
}

#[test]
fn refusals_say_why() {
    for (summary, packages, asked, expected) in [
        (
            "no such name",
            "zsh 5:\nzsh-common 5:\nzip 3:",
            "zhs",
            "no package named `zhs` (did you mean zsh?)",
        ),
        ("a similar name", "ripgrep 5:", "ripgerp", "no package named `ripgerp` (did you mean ripgrep?)"),
        ("no such version", "a 1:\na 2:", "a=3", "no version of `a` 3; there is 2 (trixie), 1 (trixie)"),
        ("no such suite", "a 1:", "a/sid", "no version of `a` in sid; there is 1 (trixie)"),
        (
            "several providers",
            "p 1: Provides v\nq 1: Provides v",
            "v",
            "`v` is provided by several packages; choose one of p, q",
        ),
        ("another architecture", "a 1:", "a:arm64", "`a:arm64` cannot be installed into a root for amd64"),
        (
            "too old",
            "zsh 5: Depends libcap2 (>= 2.40)\nlibcap2 2.20:",
            "zsh",
            "zsh needs libcap2 (>= 2.40), but trixie has only libcap2 2.20",
        ),
        (
            "missing",
            "a 1: Depends b | c\nb 1: Depends x",
            "a",
            "a needs b, b needs x, but there is no package named x",
        ),
        ("conflict", "a 1: Conflicts b\nb 1: Conflicts a", "a b", "a conflicts with b"),
        (
            "conflict with a need",
            "a 1: Conflicts b\nb 1:\nc 1: Depends b",
            "c a",
            "a conflicts with b, which c needs",
        ),
        ("left out", "a 1: Depends b\nb 1:", "a b-", "a needs b, but b was to be left out"),
    ] {
        assert_eq!(answer(packages, asked), expected, "{summary}");
    }
}

#[test]
fn the_order_keeps_pre_depends_within_circles() {
    for (summary, packages, asked, expected) in [
        ("circle", "a 1: Depends b\nb 1: Depends a", "a", "a=1 b=1"),
        (
            "circle with a pre-dependency",
            "a 1: Depends b; Pre-Depends c\nb 1: Depends a\nc 1: Depends b",
            "a",
            "c=1 a=1 b=1",
        ),
        (
            "after the circle",
            "a 1: Depends c\nb 1: Depends c\nc 1: Depends d\nd 1: Depends c",
            "a b",
            "c=1 d=1 a=1 b=1",
        ),
        ("essential first", "a 1:\nz 1: Essential yes; Depends y\ny 1:", "a ?essential", "y=1 z=1 a=1"),
    ] {
        assert_eq!(answer(packages, asked), expected, "{summary}");
    }
}

#[test]
fn a_long_chain_is_followed() {
    let lines: String =
        (0..2500).map(|n| format!("p{n} 1: Depends p{}\n", n + 1)).collect::<String>() + "p2500 1:";
    assert_eq!(answer(&lines, "p0").split(' ').count(), 2501);
}
