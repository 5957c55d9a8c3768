//! What goes wrong on the way from a recipe to a root ends in an error that says which file of which archive and why,
//! with status 1 (2 for wrong usage), and leaves nothing in the output folder.
//!
//! `faults.messages` holds the whole message of every case: how errors read is part of what is tested. To accept new
//! ones, run with `UPDATE_MESSAGES=1` and read the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, SystemTime};

use testkit::{
    DebBuilder, Fault, Package, Program, SigningKey, SuiteBuilder, TinySite, machine_architecture, toolbox,
};

/// The messages that are expected.
const MESSAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/faults.messages");

/// What happens to the site or the program's folder before the program runs.
type Spoil = fn(&Stage<'_>);

/// One thing that goes wrong.
#[derive(Clone, Copy)]
struct Case {
    summary: &'static str,
    spoil: Spoil,
    /// The command and what follows it, before the site's options.
    arguments: &'static [&'static str],
    status: i32,
    /// What the message must say at least.
    words: &'static [&'static str],
}

/// A site and a program that knows it.
struct Stage<'k> {
    site: TinySite<'k>,
    program: Program<'static>,
    other_key: &'k SigningKey,
}

const BUILD: &[&str] = &["build", "./tiny.toml"];

const fn case(summary: &'static str, spoil: Spoil, words: &'static [&'static str]) -> Case {
    Case { summary, spoil, arguments: BUILD, status: 1, words }
}

const fn with(arguments: &'static [&'static str], case: Case) -> Case {
    Case { arguments, ..case }
}

const fn usage(arguments: &'static [&'static str], case: Case) -> Case {
    Case { arguments, status: 2, ..case }
}

impl<'k> Stage<'k> {
    fn new(key: &'k SigningKey, other_key: &'k SigningKey) -> Self {
        let site = TinySite::new(packages(), key);
        let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
        program.write("tiny.toml", TinySite::recipe(&["hello"]));
        Self { site, program, other_key }
    }

    fn fault(&self, pattern: &str, fault: Fault) {
        self.site.server().fault(pattern, fault);
    }

    fn publish(&self, change: impl FnOnce(SuiteBuilder) -> SuiteBuilder) {
        self.site.publish(change(SuiteBuilder::new("tiny").component("main", packages())));
    }

    fn recipe(&self, text: &str) {
        self.program.write("tiny.toml", text);
    }

    fn options(&self, arguments: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        all.extend(self.site.options());
        // The last of two is the one that counts, for clap as for a user.
        let given = |name: &str| arguments.contains(&name);
        let mut kept = Vec::new();
        let mut words = all.into_iter().enumerate();
        while let Some((index, word)) = words.next() {
            let ours = index >= arguments.len();
            if ours && given(&word) {
                words.next();
            } else {
                kept.push(word);
            }
        }
        kept
    }

    /// Runs the program; gives its status and its message with everything that differs from run to run made the same.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let result = self.program.run(self.options(arguments));
        let text = String::from_utf8_lossy(&result.stderr);
        let message = text.find("error:").map_or("", |start| &text[start..]);
        (result.status.code(), self.steady(message))
    }

    fn steady(&self, message: &str) -> String {
        let site = self.site.path().display().to_string();
        let folder = self.program.folder().display().to_string();
        let text = message
            .replace(&self.site.server().url(), "http://SITE")
            .replace(&site, "SITE")
            .replace(&folder, "FOLDER")
            .replace(&format!("binary-{}", machine_architecture()), "binary-ARCH")
            .replace(&format!("no architecture `{}`", machine_architecture()), "no architecture `ARCH`");
        let text: Vec<String> = text.split(' ').map(steady_word).collect();
        text.join(" ").trim_end().to_owned()
    }
}

/// Digests, key ids and moments by their kind.
fn steady_word(word: &str) -> String {
    let core = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let is_hex = core.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_time =
        core.len() >= 20 && core.as_bytes()[4] == b'-' && core.as_bytes()[10] == b'T' && core.ends_with('Z');
    match core.len() {
        64 if is_hex => word.replace(core, "DIGEST"),
        16 | 40 if is_hex => word.replace(core, "KEY"),
        _ if is_time => word.replace(core, "MOMENT"),
        _ => word.to_owned(),
    }
}

/// The packages of every site. They are made once.
static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let deb = |name: &str, version: &str| DebBuilder::new(name, version).architecture("all");
    let hello = deb("hello", "2.0").depends("libhello (>= 2)").file("usr/bin/hello", vec![b'h'; 5000]);
    [
        toolbox(),
        hello,
        deb("libhello", "2.0").file("usr/lib/libhello", "lib"),
        deb("wants-newer", "1.0").depends("libhello (>= 3)"),
        deb("wants-nothing-there", "1.0").depends("no-such-thing | neither-this"),
        deb("left", "1.0").field("Conflicts", "right"),
        deb("right", "1.0"),
    ]
    .iter()
    .map(|deb| Package::from_deb(deb.build()))
    .collect()
});

fn packages() -> Vec<Package> {
    PACKAGES.clone()
}

const DAY: Duration = Duration::from_secs(24 * 3600);

const SIGNATURES: &[Case] = &[
    case(
        "a letter of the signed text is altered",
        |stage| {
            let path = stage.site.path().join("debian/dists/tiny/InRelease");
            let text = fs::read_to_string(&path).expect("the release file");
            fs::write(&path, text.replace("Components: main", "Components: mein")).expect("the release file");
        },
        &["/debian/dists/tiny/InRelease", "signature"],
    ),
    case(
        "an unknown key",
        |stage| {
            let suite = SuiteBuilder::new("tiny").component("main", packages());
            stage.site.publish_signed(suite, stage.other_key);
        },
        &["/debian/dists/tiny/InRelease", "key"],
    ),
    case(
        "a release file that is not signed at all",
        |stage| {
            stage.fault("/debian/dists/tiny/InRelease", Fault::Replace(b"Suite: tiny\nDate: now\n".to_vec()));
        },
        &["/debian/dists/tiny/InRelease", "sign"],
    ),
    case(
        "valid until yesterday",
        |stage| {
            let now = SystemTime::now();
            stage.publish(|suite| suite.date(now - 8 * DAY).valid_until(now - DAY));
        },
        &["/debian/dists/tiny/InRelease", "valid until"],
    ),
    case(
        "dated the day after tomorrow",
        |stage| stage.publish(|suite| suite.date(SystemTime::now() + 2 * DAY)),
        &["/debian/dists/tiny/InRelease", "clock"],
    ),
    case(
        "the release file of another suite",
        |stage| stage.publish(|suite| suite.field("Suite", "sid").field("Codename", "sid")),
        &["/debian/dists/tiny/InRelease", "`sid`", "`tiny`"],
    ),
    case(
        "no component main",
        |stage| stage.site.publish(SuiteBuilder::new("tiny").component("universe", packages())),
        &["/debian/dists/tiny/InRelease", "`main`", "universe"],
    ),
    case(
        "no packages for this architecture",
        |stage| stage.publish(|suite| suite.architectures(&["riscv64"])),
        &["/debian/dists/tiny/InRelease", "riscv64"],
    ),
    case(
        "the keyring is not there",
        |stage| fs::remove_file(stage.site.path().join("key.gpg")).expect("the key"),
        &["key.gpg"],
    ),
];

const TRANSFERS: &[Case] = &[
    case(
        "the release file is not there",
        |stage| stage.fault("/debian/dists/tiny/*Release*", Fault::Status(404)),
        &["dists/tiny/InRelease", "404"],
    ),
    case(
        "an altered index",
        |stage| stage.fault("/debian/dists/tiny/main/*", Fault::Corrupt(30)),
        &["main/binary-", "SHA-256", "altered"],
    ),
    case(
        "an altered package",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::Corrupt(200)),
        &["hello_2.0_all.deb", "SHA-256", "altered"],
    ),
    case(
        "a package cut short, again and again",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::Truncate(0)),
        &["hello_2.0_all.deb", "ended after 0 of"],
    ),
    case(
        "a package that is gone",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::Status(404)),
        &["hello 2.0 (all)", "no longer"],
    ),
    case(
        "a longer package than promised",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::Replace(vec![0; 100_000])),
        &["hello_2.0_all.deb", "100000"],
    ),
    case(
        "a server that answers 500 and nothing else",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::Status(500)),
        &["hello_2.0_all.deb", "500"],
    ),
    case(
        "a redirect loop",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::RedirectLoop),
        &["hello_2.0_all.deb", "redirect"],
    ),
    case(
        "every connection is dropped",
        |stage| stage.fault("*/hello_2.0_all.deb", Fault::Drop),
        &["hello_2.0_all.deb", "connection"],
    ),
    with(
        &["build", "./tiny.toml", "--timeout", "1"],
        case(
            "a server that stops sending",
            |stage| stage.fault("*/hello_2.0_all.deb", Fault::Stall(100)),
            &["hello_2.0_all.deb", "nothing for 1 s"],
        ),
    ),
    with(
        &["build", "./tiny.toml", "--mirror", "http://127.0.0.1:1/debian"],
        case("nobody listens", |_| {}, &["dists/tiny/InRelease", "cannot connect"]),
    ),
];

const SETS: &[Case] = &[
    case(
        "a dependency on a newer version",
        |stage| stage.recipe(&TinySite::recipe(&["wants-newer"])),
        &["wants-newer", "libhello", "2.0"],
    ),
    case(
        "a dependency on what is not there",
        |stage| stage.recipe(&TinySite::recipe(&["wants-nothing-there"])),
        &["wants-nothing-there", "no-such-thing", "neither-this"],
    ),
    case(
        "two packages that conflict",
        |stage| stage.recipe(&TinySite::recipe(&["left", "right"])),
        &["left", "conflicts with", "right"],
    ),
    case(
        "a package of no such name",
        |stage| stage.recipe(&TinySite::recipe(&["helo"])),
        &["no package named `helo`", "did you mean hello"],
    ),
];

const USE: &[Case] = &[
    with(
        &["build", "./tiny.toml", "--offline"],
        case("offline with an empty cache", |_| {}, &["`InRelease`", "debian tiny", "--offline"]),
    ),
    with(
        &["build", "./tiny.toml", "--locked"],
        case("locked without a lock", |_| {}, &["tiny.lock", "`ovmlayer-rootfs lock ./tiny.toml`"]),
    ),
    with(
        &["build", "./tiny.toml", "--locked"],
        case(
            "a stale lock",
            |stage| {
                stage.program.succeed(stage.options(&["lock", "./tiny.toml"]));
                stage.recipe(&TinySite::recipe(&["libhello"]));
            },
            &["tiny.lock", "`ovmlayer-rootfs lock ./tiny.toml --update`"],
        ),
    ),
    with(
        &["build", "./tiny.toml", "--locked"],
        case(
            "a lock with a package that the mirror no longer has",
            |stage| {
                stage.program.succeed(stage.options(&["lock", "./tiny.toml"]));
                let pool = stage.site.path().join("debian/pool/main/h/hello/hello_2.0_all.deb");
                fs::remove_file(pool).expect("the package");
            },
            &["hello 2.0 (all)", "hello_2.0_all.deb", "--update"],
        ),
    ),
    with(
        &["build", "./tiny.toml", "--locked"],
        case(
            "a damaged lock",
            |stage| drop(stage.program.write("tiny.lock", "format = 1\nrecipe = 7\n")),
            &["tiny.lock:2:"],
        ),
    ),
    case(
        "a recipe with an unknown key",
        |stage| {
            let recipe = TinySite::recipe(&["hello"]).replace("variant", "varaint");
            stage.recipe(&recipe);
        },
        &["tiny.toml:6:", "varaint"],
    ),
    case("a recipe that is no TOML", |stage| stage.recipe("format = \n"), &["tiny.toml:1:"]),
    usage(&["build", "no-such"], case("a recipe of no such name", |_| {}, &["`no-such`", "base-rootfs"])),
    usage(&["build", "./no-such.toml"], case("a recipe file that is not there", |_| {}, &["no-such.toml"])),
    with(
        &["build", "./tiny.toml", "--snapshot", "20250101"],
        case(
            "a snapshot that the mirror cannot give",
            |_| {},
            &["20250101T000000Z", "/debian", "{snapshot}"],
        ),
    ),
    usage(
        &["build", "./tiny.toml", "--snapshot", "yesterday"],
        case("a snapshot that is no date", |_| {}, &["yesterday"]),
    ),
    usage(
        &["build", "./tiny.toml", "--arch", "vax"],
        case("an unknown architecture", |_| {}, &["vax", "amd64"]),
    ),
    usage(
        &["build", "./tiny.toml", "--distro", "arch"],
        case("an unknown distribution", |_| {}, &["arch", "ubuntu", "debian"]),
    ),
    usage(
        &["build", "./tiny.toml", "--locked", "--update"],
        case("locked and update", |_| {}, &["--locked", "--update"]),
    ),
];

#[test]
fn signatures_and_dates() {
    check("signatures", SIGNATURES);
}

#[test]
fn transfers() {
    check("transfers", TRANSFERS);
}

#[test]
fn sets_of_packages() {
    check("sets", SETS);
}

#[test]
fn use_of_the_program() {
    check("use", USE);
}

/// A server that fails once is asked again, and the build is as good as any.
#[test]
fn what_passes_is_tried_again() {
    let key = SigningKey::generate();
    for (summary, pattern, fault) in [
        ("a server error for a release file", "/debian/dists/tiny/InRelease", Fault::Status(500)),
        ("a server error for an index", "/debian/dists/tiny/main/*", Fault::Status(503)),
        ("a server error for a package", "*/hello_2.0_all.deb", Fault::Status(500)),
        ("a dropped connection", "*/hello_2.0_all.deb", Fault::Drop),
        ("a package cut short", "*/hello_2.0_all.deb", Fault::Truncate(100)),
    ] {
        let stage = Stage::new(&key, &key);
        stage.site.server().fault_times(pattern, fault, 1);
        stage.program.succeed(stage.options(BUILD));
        assert!(stage.site.server().count(pattern) >= 2, "{summary}");
        assert!(stage.program.dist().join("out.tar").is_file(), "{summary}");
    }
}

/// Cases run side by side: some of them wait between attempts.
fn check(part: &str, cases: &[Case]) {
    let keys = (SigningKey::generate(), SigningKey::generate());
    let messages: Vec<(&str, String)> = thread::scope(|scope| {
        let running: Vec<_> =
            cases.iter().map(|case| scope.spawn(|| (case.summary, outcome(case, &keys)))).collect();
        running.into_iter().map(|case| case.join().expect("the case holds")).collect()
    });
    compare(part, &messages);
}

/// Runs one case and gives its message.
fn outcome(case: &Case, (key, other_key): &(SigningKey, SigningKey)) -> String {
    let stage = Stage::new(key, other_key);
    (case.spoil)(&stage);
    let (status, message) = stage.run(case.arguments);
    assert_eq!(status, Some(case.status), "{}: {message}", case.summary);
    for word in case.words {
        assert!(message.contains(word), "{}: no `{word}` in: {message}", case.summary);
    }
    nothing_left(case.summary, &stage);
    message
}

/// No artifact, no temporary file; and nothing in the folder that roots are built in.
fn nothing_left(summary: &str, stage: &Stage<'_>) {
    for folder in [stage.program.dist(), stage.program.cache().join("ovmlayer-rootfs/build")] {
        let left: Vec<_> =
            fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{summary}: left behind: {left:?}");
    }
}

/// Compares with the messages on file, part by part.
fn compare(part: &str, messages: &[(&str, String)]) {
    let found: String =
        messages.iter().map(|(summary, message)| format!("--- {part}: {summary}\n{message}\n")).collect();
    let path = Path::new(MESSAGES);
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        update(path, part, &found);
    }
    let text = fs::read_to_string(path).expect("faults.messages");
    let expected = parts(&text).remove(part).unwrap_or_default();
    assert!(
        found == expected,
        "messages differ from faults.messages; found:\n{found}\nexpected:\n{expected}"
    );
}

/// The sections of the file by their part.
fn parts(text: &str) -> BTreeMap<String, String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut part = String::new();
    for line in text.lines() {
        if let Some((name, _)) = line.strip_prefix("--- ").and_then(|rest| rest.split_once(": ")) {
            name.clone_into(&mut part);
        }
        let section = parts.entry(part.clone()).or_default();
        section.push_str(line);
        section.push('\n');
    }
    parts
}

/// Parts are written by tests that run side by side.
fn update(path: &Path, part: &str, found: &str) {
    let file =
        fs::File::options().create(true).truncate(false).write(true).open(path).expect("faults.messages");
    file.lock().expect("a lock");
    let mut all = parts(&fs::read_to_string(path).expect("faults.messages"));
    all.insert(part.to_owned(), found.to_owned());
    fs::write(path, all.into_values().collect::<String>()).expect("faults.messages");
}
