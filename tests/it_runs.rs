//! What is built runs: in our own sandbox, in a container of runc, by its own apt; and it is what the recipe says.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use testkit::{Network, Program, Rootfs, TestUser, output, rootfs_diff, run, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");
const NATIVE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

const HEAD: &str = "format = 1\nkind = \"rootfs\"\ndescription = \"to run\"\narchitectures = [\"amd64\", \"arm64\"]\n\
                    distro = \"debian\"\n";

/// Steps of every kind. The second `run` step is a test itself: it fails when something is not as it should be, and it
/// runs in our own sandbox, for a foreign architecture too.
const STEPS: &str = r##"
output = "{arch}.tar"
[[steps]]
packages = ["zsh", { debian = "ucf", ubuntu = "no-such-package" }]
[[steps]]
env = { GREETING = "a b", LATER = "no" }
[[steps]]
users = [{ name = "worker", uid = 1234, shell = "/bin/zsh" }, { name = "daemon-2", uid = 1300, home = "/srv/d" }]
[[steps]]
files = [
  { path = "/opt/tool/bin/hello", content = "#!/bin/zsh -f\nprint hello ${(U):-zsh}\n", mode = "0755" },
  { path = "/home/worker/note", source = "note.txt", mode = "0600", owner = "1234:1234" },
  { path = "/usr/bin/hello", link = "../../opt/tool/bin/hello" },
  { path = "/etc/motd", content = "replaced\n" },
]
[[steps]]
env = { LATER = "yes" }
[[steps]]
run = { script = '''
set -x
printf '%s/%s/' "$GREETING" "$LATER" > /opt/environment
test "$(zsh -c 'print $((6 * 7))')" = 42
test "$(hello)" = "hello ZSH"
test -z "$(dpkg --audit)"
apt-get check
test "$(id -un 1234)" = worker
uname -m > /opt/machine
echo later > /usr/share/doc/later
! grep -q ':' /proc/net/route
''' }
[[steps]]
slim = ["/usr/share/doc/**", "/usr/share/man"]
"##;

#[test]
fn both_results_run_and_are_what_the_recipe_says() {
    let program = Program::new(PROGRAM).shared_cache();
    program.write("run.toml", format!("{HEAD}{STEPS}"));
    program.write("note.txt", "from beside the recipe\n");
    program.succeed(["build", "run.toml"]);
    for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let tar = program.dist().join(format!("{architecture}.tar"));
        let rootfs = Rootfs::extract(&tar);
        steps_are_done(&rootfs.path(), machine);
        database_is_sound(&rootfs.path(), architecture);
        if architecture == NATIVE {
            runs_in_a_container(&rootfs);
        }
        an_ordinary_user_unpacks(&tar);
    }
}

fn steps_are_done(root: &Path, machine: &str) {
    let read =
        |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(read("opt/environment"), "a b/yes/", "the environment of a run step");
    assert_eq!(read("opt/machine"), format!("{machine}\n"), "what the run step ran on");
    assert_eq!(read("home/worker/note"), "from beside the recipe\n");
    assert_eq!(read("etc/motd"), "replaced\n");
    let facts = |path: &str| {
        let found = fs::symlink_metadata(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        (found.permissions().mode() & 0o7777, found.uid(), found.gid())
    };
    assert_eq!(facts("opt/tool/bin/hello"), (0o755, 0, 0));
    assert_eq!(facts("opt/tool"), (0o755, 0, 0), "a folder that a file needed");
    assert_eq!(facts("home/worker/note"), (0o600, 1234, 1234));
    assert_eq!((facts("home/worker").1, facts("srv/d").1), (1234, 1300), "owners of homes");
    assert_eq!(
        fs::read_link(root.join("usr/bin/hello")).expect("a link"),
        Path::new("../../opt/tool/bin/hello")
    );
    assert!(read("etc/passwd").contains("worker:x:1234:1234:"), "a user");
    assert!(read("var/lib/dpkg/status").contains("Package: ucf\n"), "a package with a name per distribution");
    let doc = fs::read_dir(root.join("usr/share/doc")).expect("a folder whose contents are left out").count();
    assert_eq!(doc, 0, "slim left something in usr/share/doc");
    assert!(!root.join("usr/share/man").exists(), "slim left usr/share/man");
    for path in ["etc/resolv.conf", "etc/hostname", "etc/.pwd.lock", "usr/sbin/policy-rc.d"] {
        assert!(fs::symlink_metadata(root.join(path)).is_err(), "{path} stayed");
    }
    assert_eq!(fs::read_dir(root.join("dev")).expect("dev").count(), 0, "dev is not empty");
}

/// dpkg of this machine reads the database of a root of any architecture, once it is told that there is such a one. What `slim` left out and what a step replaced
/// is missed by it, and nothing else.
fn database_is_sound(root: &Path, architecture: &str) {
    let dpkg = |arguments: &[&str]| {
        let mut command = Command::new(tool("dpkg"));
        command.arg(format!("--root={}", root.display())).args(arguments);
        String::from_utf8_lossy(&output(&mut command).stdout).into_owned()
    };
    if architecture != NATIVE {
        dpkg(&["--add-architecture", architecture]);
    }
    assert_eq!(dpkg(&["--audit"]), "");
    let slimmed = |line: &&str| {
        !line.contains(" /usr/share/doc")
            && !line.contains(" /usr/share/man")
            && !line.ends_with(" /etc/motd")
    };
    let verified = dpkg(&["--verify"]);
    assert_eq!(verified.lines().find(slimmed), None, "dpkg --verify:\n{verified}");
}

fn runs_in_a_container(rootfs: &Rootfs) {
    let in_container = |network: Network, command: &str| {
        let result = rootfs.runc(network, &["/bin/zsh", "-c", command]);
        let text = String::from_utf8_lossy(&result.stdout).into_owned();
        let errors = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.success(), "`{command}` in a container:\n{text}{errors}");
        text
    };
    assert_eq!(in_container(Network::None, "print $((6 * 7)); hello"), "42\nhello ZSH\n");
    assert_eq!(in_container(Network::None, "dpkg --audit"), "");
    in_container(Network::None, "apt-get check");
    in_container(Network::Host, "apt-get -q update && apt-get -q install -y --no-install-recommends jq");
    assert_eq!(in_container(Network::None, "print '{\"a\": [1, 2]}' | jq '.a[1]'"), "2\n");
    assert_eq!(in_container(Network::None, "dpkg --audit"), "");
}

fn an_ordinary_user_unpacks(tar: &Path) {
    let user = TestUser::create();
    let copy = user.home().join("root.tar");
    fs::copy(tar, &copy).expect("a copy of the tar");
    user.own(&copy);
    let mut command = user.command(tool("tar"));
    let result = output(command.args(["-xf", "root.tar"]));
    assert!(
        result.status.success() && result.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    assert!(user.home().join("usr/bin/zsh").exists());
    // Folders that only root may write to, but which the user owns now, would keep the home from going.
    run(user.command(tool("chmod")).args(["-R", "u+rwX", "."]));
}

/// What compresses slowly and adds no new kind of entry.
const SMALLER: &str = r#"
[[steps]]
slim = ["/usr/lib/*-linux-gnu/**", "/usr/share/doc/**", "/usr/share/i18n/**", "/usr/share/locale/**"]
"#;

#[test]
fn every_form_holds_the_same_tree() {
    let program = Program::new(PROGRAM).shared_cache();
    let forms = [
        ("form.tar", None),
        ("form.tar.gz", Some("gzip")),
        ("form.tar.xz", Some("xz")),
        ("form.tar.zst", Some("zstd")),
        ("form", None),
    ];
    let mut arguments = vec!["build".to_owned(), "--arch".into(), NATIVE.into()];
    for (number, (name, _)) in forms.iter().enumerate() {
        let recipe = format!("recipe-{number}.toml");
        program.write(
            &recipe,
            format!("{HEAD}variant = \"essential\"\noutput = \"{{arch}}-{name}\"\n{SMALLER}"),
        );
        arguments.push(recipe);
    }
    program.succeed(arguments);
    let artifact = |name: &str| program.dist().join(format!("{NATIVE}-{name}"));
    let plain = artifact("form.tar");
    let bytes = fs::read(&plain).expect("the plain tar");
    for (name, codec) in forms.iter().filter_map(|(name, codec)| codec.map(|codec| (name, codec))) {
        let expanded = run(Command::new(tool(codec)).args(["-dc"]).arg(artifact(name)));
        assert!(expanded == bytes, "{name} expands to something else than the plain tar");
    }
    let packed = program.folder().join("packed.tar");
    let mut tar = Command::new(tool("tar"));
    tar.args(["--create", "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"]);
    run(tar.arg(&packed).arg("--directory").arg(artifact("form")).arg("."));
    let difference = rootfs_diff(&plain, &packed, &[]);
    assert!(difference.is_empty(), "the folder and the tar differ:\n{}", difference.lines.join("\n"));
    assert!(difference.equal > 1000, "only {} paths compared", difference.equal);
}
