//! What oocana does with layers, by its own command lines: packages, runtime layers, injection, export and import.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use testkit::output;

use crate::container::Container;
use crate::stage::{Stage, Who, text, well};
use crate::{network, watch};

/// A package with a script that prepares it, as callers know it.
struct Package {
    /// Where it lies, on the machine and inside.
    path: String,
    source: String,
    bootstrap: String,
}

impl Package {
    /// Layers of a package whose folder has a space in its name: the source is copied, the bootstrap script is copied on
    /// top and run.
    fn create(stage: &Stage, name: &str) -> Self {
        stage.file(&format!("{name} package/package.oo.yaml"), "scripts:\n  bootstrap: touch made\n", 0o644);
        stage.file(&format!("{name} package/.hidden"), "hidden", 0o600);
        stage.file(&format!("{name} package/node_modules/.bin/tool"), "#!/bin/sh\necho tool\n", 0o755);
        std::os::unix::fs::symlink(
            "node_modules/.bin/tool",
            stage.folder().join(format!("{name} package/link")),
        )
        .expect("a link");
        let path = stage.at(&format!("{name} package"));
        let package = Self {
            path: path.clone(),
            source: format!("layer_{name}_source_0a1b_2c3d"),
            bootstrap: format!("layer_{name}_bootstrap_0a1b_2c3d"),
        };
        let parent = Path::new(&path).parent().expect("a folder").display().to_string();
        stage.with(&["create", &package.source]);
        stage.with(&["cp", "--mode", "host2layer", &path, &format!("{}:{parent}", package.source)]);
        stage.with(&["create", &package.bootstrap]);
        let point = format!("merge_{name}_4e5f");
        stage.with(&["merge", "-l", &package.source, "-l", &package.bootstrap, "-m", &point]);
        let script = stage.file(
            &format!("script_{name}_6a7b.sh"),
            "#! /usr/bin/env zsh\nset -eo pipefail\ntest -f .hidden\n./link > made\nrm package.oo.yaml\necho bootstrapped\necho on stderr >&2\n",
            0o755,
        );
        stage.with(&["cp", "--mode", "host2merged", &script, &format!("{point}:{path}")]);
        let inside = format!("{path}/script_{name}_6a7b.sh");
        let workdir = format!("--workdir={path}");
        let result = output(&mut stage.script(&point, &[&workdir], &format!("'{inside}'")));
        assert_eq!(well(&result), "bootstrapped\n");
        assert!(text(&result.stderr).contains("on stderr\n"), "{}", text(&result.stderr));
        stage.with(&["unmerge", &point]);
        package
    }

    /// The same layers, with the package at another path.
    fn at(&self, path: String) -> Self {
        Self { path, source: self.source.clone(), bootstrap: self.bootstrap.clone() }
    }

    /// What is there for a block of the package.
    fn check(&self, stage: &Stage, point: &str) {
        let workdir = format!("--workdir={}", self.path);
        let script = "cat made; cat .hidden; test ! -e package.oo.yaml; stat -c %a .hidden link; pwd -P";
        let found = well(&output(&mut stage.script(point, &[&workdir], script)));
        assert_eq!(found, format!("tool\nhidden600\n777\n{}\n", self.path));
    }
}

#[test]
fn root_runs_packages() {
    packages(&Who::Root);
}

#[test]
fn an_ordinary_user_runs_packages() {
    packages(&Who::user());
}

fn packages(who: &Who) {
    let stage = Stage::new(who);
    stage.ok("test system");
    // Another caller's script deletes before it creates.
    stage.ok("delete executor");
    stage.ok("create executor");
    stage.ok("merge -l executor -m merge_executor");
    stage.run(
        "merge_executor",
        "echo 'export PATH=/opt/executor/bin:$PATH' >> ~/.zshrc; mkdir -p /opt/executor/bin",
    );
    stage.ok("unmerge merge_executor");
    let package = Package::create(&stage, "one");
    let mut layers = stage.layers();
    layers.sort();
    let mut expected = vec!["executor".to_owned(), package.source.clone(), package.bootstrap.clone()];
    expected.sort();
    assert_eq!(layers, expected);
    assert_eq!(stage.ok("list layers --used"), "");
    injection(&stage, &package);
    export_and_import(&stage, &package);
    stage.ok("delete --all");
    assert_eq!(stage.ok("list layers"), "");
    stage.ok("create l1");
    stage.ok("merge -l l1 -m m1");
    assert_eq!(stage.run("m1", "print $((6 * 7))"), "42\n", "the setup survives `delete --all`");
    stage.ok("delete --all");
    stage.ok("unmerge m1");
}

/// A runtime layer is up while its lowers are merged with an injection layer; then it comes up again under its name, on
/// top of that.
fn injection(stage: &Stage, package: &Package) {
    stage.ok("create tmp_layer_1");
    stage.ok("create injection_1");
    let lowers = ["-l", "executor", "-l", &package.source, "-l", &package.bootstrap];
    let merge = |more: &[&str], point: &str| {
        let mut arguments = vec!["merge"];
        arguments.extend(lowers);
        arguments.extend(more.iter().flat_map(|layer| ["-l", layer]));
        arguments.extend(["-m", point]);
        stage.with(&arguments);
    };
    merge(&["tmp_layer_1"], "merge_1");
    package.check(stage, "merge_1");
    stage.run("merge_1", "echo kept > /root/of-the-top");
    merge(&["injection_1"], "merge_2");
    let mut used = stage.ok("list layers --used").lines().map(str::to_owned).collect::<Vec<_>>();
    used.sort();
    assert_eq!(used.len(), 5, "{used:?}");
    assert_eq!(stage.ok("list layers --unused"), "");
    // The script is shown inside by a bind onto a new path of the package, and run there.
    let script = stage.file(
        "script_inject.sh",
        "#! /usr/bin/env zsh\nset -eo pipefail\necho injected > injected\n",
        0o755,
    );
    let inside = format!("{}/script_inject.sh", package.path);
    let bind = format!("--mount=type=bind,src={script},dst={inside},rw,nonrecursive");
    let workdir = format!("--workdir={}", package.path);
    well(&output(&mut stage.script("merge_2", &[&bind, &workdir], &format!("'{inside}'"))));
    assert!(stage.refused("delete injection_1").contains("merge_2"), "who uses it");
    stage.ok("unmerge merge_2");
    stage.ok("unmerge merge_1");
    merge(&["injection_1", "tmp_layer_1"], "merge_1");
    package.check(stage, "merge_1");
    let read =
        output(&mut stage.script("merge_1", &[&workdir], "cat injected /root/of-the-top; ls -d script_*"));
    assert_eq!(well(&read), "injected\nkept\nscript_one_6a7b.sh\n");
    stage.ok("unmerge merge_1");
    stage.ok("delete tmp_layer_1");
    stage.ok("delete injection_1");
    stage.ok("delete injection_1");
}

/// The folder of an exported package, its import at another path where the source layer is still there, and its move.
fn export_and_import(stage: &Stage, package: &Package) {
    let folder = stage.folder().join("my-pkg");
    fs::create_dir(&folder).expect("a folder for a package");
    stage.give(&folder);
    let archive = stage.at("my-pkg/layers.tar");
    let export =
        ["export", "-l", "executor", "-l", &package.source, "-l", &package.bootstrap, "-dest", &archive];
    stage.with(&export);
    let first = fs::read(&archive).expect("an archive");
    stage.with(&export);
    assert!(fs::read(&archive).expect("an archive") == first, "the same layers gave other bytes");
    // `package-layer delete` forgets the source layer.
    stage.with(&["delete", &package.bootstrap]);
    stage.ok("delete executor");
    stage.with(&["import", &archive]);
    let mut layers = stage.layers();
    layers.sort();
    assert_eq!(layers, ["executor", &package.bootstrap, &package.source]);
    migrate(stage, package);
    for layer in [&package.source, &package.bootstrap] {
        stage.with(&["move", layer]);
        stage.with(&["move", layer]);
        assert!(
            stage.folder().join("external/layer_dir").join(layer).is_dir(),
            "{layer} in the external store"
        );
        assert!(!stage.content(layer).exists(), "{layer} is in the runtime store still");
    }
    let moved = package.at(format!("{}/new place", stage.at("elsewhere")));
    stage.ok("create tmp_layer_2");
    stage.with(&[
        "merge",
        "-l",
        "executor",
        "-l",
        &package.source,
        "-l",
        &package.bootstrap,
        "-l",
        "tmp_layer_2",
        "-m",
        "m",
    ]);
    moved.check(stage, "m");
    stage.ok("unmerge m");
    assert_eq!(stage.layers().len(), 4);
    // What is not stored, used or configured is deleted by name; moved layers as well.
    for layer in stage.layers() {
        stage.with(&["delete", &layer]);
    }
    assert_eq!(stage.ok("list layers"), "");
}

/// Each imported layer is merged alone and its files are moved to the package's new path.
fn migrate(stage: &Stage, package: &Package) {
    let new = format!("{}/new place", stage.at("elsewhere"));
    for layer in [&package.source, &package.bootstrap] {
        stage.with(&["merge", "-l", layer, "-m", "merge_migrate"]);
        let script = "mkdir -p -- \"$PACKAGE_PATH\"; if [ -d \"$SOURCE_DIR\" ]; then find \"$SOURCE_DIR\" -mindepth 1 -maxdepth 1 -exec mv -- '{}' \"$PACKAGE_PATH\" \\;; fi";
        let (target, source) = (format!("PACKAGE_PATH={new}"), format!("SOURCE_DIR={}", package.path));
        well(&output(&mut stage.script("merge_migrate", &["--env", &target, "--env", &source], script)));
        stage.ok("unmerge merge_migrate");
    }
}

#[test]
fn executors_of_root_work_side_by_side() {
    side_by_side(&Who::Root);
}

#[test]
fn executors_of_an_ordinary_user_work_side_by_side() {
    side_by_side(&Who::user());
}

/// Each executor has a thread here, as it has one in oocana.
fn side_by_side(who: &Who) {
    const EXECUTORS: usize = 6;
    const ROUNDS: usize = 4;
    let stage = Stage::new(who);
    stage.ok("create shared");
    stage.ok("merge -l shared -m merge_shared");
    stage.run("merge_shared", "echo below > /opt/below; mkdir /opt/folder; echo 1 > /opt/folder/one");
    stage.ok("unmerge merge_shared");
    thread::scope(|scope| {
        for number in 0..EXECUTORS {
            let stage = &stage;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    executor(stage, number, round);
                }
            });
        }
    });
    assert_eq!(stage.layers(), ["shared"]);
    assert_eq!(stage.ok("list layers --used"), "");
    assert_eq!(stage.ok("list merged-points"), "");
    stage.ok("fsck");
}

fn executor(stage: &Stage, number: usize, round: usize) {
    let (layer, point) = (format!("tmp_layer_{number}"), format!("merge_{number}"));
    stage.ok("test system");
    stage.with(&["create", &layer]);
    stage.with(&["merge", "-l", "shared", "-l", &layer, "-m", &point]);
    let script = format!(
        "cat /opt/below; rm -r /opt/folder; mkdir /opt/folder; echo {number} {round} > /opt/below; ls -A /opt/folder; cat /opt/below"
    );
    assert_eq!(stage.run(&point, &script), format!("below\n{number} {round}\n"));
    assert!(stage.ok("list layers --used").lines().any(|line| line == layer), "{layer} is used");
    stage.with(&["unmerge", &point]);
    stage.with(&["delete", &layer]);
}

#[test]
fn an_executor_of_root_is_killed() {
    killed(&Who::Root);
}

#[test]
fn an_executor_of_an_ordinary_user_is_killed() {
    killed(&Who::user());
}

/// Children in sessions of their own, and a program that ignores what can be ignored.
const STUBBORN: &str = "setsid sleep 1000 & cd /root; cat > file < /dev/zero & \
                        bash -c 'trap \"\" TERM INT HUP; echo ready; while :; do sleep 1002; done'";
/// A program that ends when it is told to. It says itself that it is ready: until then the interactive shell is there,
/// which ignores SIGTERM.
const OBEDIENT: &str = "setsid sleep 1000 & cd /root; exec sh -c 'echo ready; exec sleep 1003'";

/// oocana ends an executor by `kill` of the process it started, waits for that, and takes the layer away.
fn killed(who: &Who) {
    let stage = Stage::new(who);
    let cases = [
        (STUBBORN, Signal::TERM, Some(137)),
        (STUBBORN, Signal::KILL, None),
        (OBEDIENT, Signal::TERM, Some(143)),
        (OBEDIENT, Signal::INT, Some(130)),
        (OBEDIENT, Signal::HUP, Some(129)),
    ];
    for (script, signal, status) in cases {
        stage.ok("create tmp_layer_1");
        stage.ok("merge -l tmp_layer_1 -m merge_1");
        let mut process = stage.start("merge_1", &[], script);
        network::wait_for_line(&mut process, "ready");
        assert!(watch::processes_of(stage.folder()).len() > 2, "a tree of processes");
        kill_process(Pid::from_child(&process), signal).expect("a process to end");
        let ended = process.wait().expect("its status");
        assert_eq!(ended.code(), status, "after {signal:?}: {ended}");
        stage.ok("unmerge merge_1");
        stage.ok("delete tmp_layer_1");
        stage.assert_clean();
        assert_eq!(stage.ok("list layers"), "");
    }
    stage.ok("fsck");
}

#[test]
fn what_the_runner_is_told_in_its_environment() {
    let stage = Stage::new(&Who::Root);
    stage.ok("create l1");
    stage.ok("merge -l l1 -m m1");
    let file = stage.file(
        "executor.env",
        "FROM_FILE=file\nBOTH=file\nWITH_EQUALS=a=b\n\n  SPACED  =  inner space  \n",
        0o644,
    );
    let file = format!("--env-file={file}");
    let options = [&file, "--env", "BOTH=flag", "--env", "IS_FORKED=1", "--env", "WITH_SPACE=a b"]
        .map(|text: &str| text);
    let script = "print -r -- $FROM_FILE $BOTH $WITH_EQUALS \"[$SPACED]\" $IS_FORKED $WITH_SPACE $HOME $DEBIAN_FRONTEND; print -r -- ${OUTSIDE-unset}";
    let mut command = stage.script("m1", &options, script);
    assert_eq!(
        well(&output(command.env("OUTSIDE", "leaks"))),
        "file flag a=b [inner space] 1 a b /root noninteractive\nunset\n"
    );
    stage.ok("unmerge m1");
}

#[test]
fn sudo_with_another_home_finds_the_stores() {
    let root = Container::new();
    // `sudo -E` keeps HOME and loses PATH; the program is in sudo's own path.
    let script = "set -euxo pipefail
mkdir -p /srv/caller /srv/runtime /srv/external
export HOME=/srv/caller PATH=/nowhere:$PATH
sudo -E ovmlayer setup --runtime /srv/runtime --external /srv/external --rootfs-path=/srv/rootfs
test -f /srv/caller/.ovmlayer_cfg.json
sudo -E ovmlayer test system
sudo -E ovmlayer create l1
# The configuration is moved to root's own home and linked to, as the action does.
mv /srv/caller/.ovmlayer_cfg.json /root/.ovmlayer_cfg.json
test \"$(sudo -E ovmlayer list layers)\" = l1
ln -s /root/.ovmlayer_cfg.json /srv/caller/.ovmlayer_cfg.json
sudo -E ovmlayer setup --runtime /srv/runtime --external /srv/external --rootfs-path=/srv/rootfs
test -L /srv/caller/.ovmlayer_cfg.json
test -f /root/.ovmlayer_cfg.json
HOME=/no/such/home sudo -E ovmlayer list layers
sudo ovmlayer merge -l l1 -m m1
sudo ovmlayer run --merged-point=m1 zsh -i -c 'echo \"export PATH=/opt/tool:\\$PATH\" >> ~/.zshrc; mkdir /opt/tool; echo \"#!/bin/sh\" > /opt/tool/tool; chmod +x /opt/tool/tool'
sudo -E ovmlayer run --all-devices --merged-point=m1 zsh -i -c 'command -v tool'
sudo -E ovmlayer unmerge m1
sudo -E ovmlayer delete --all
";
    let result = root.start(script);
    assert_eq!(well(&result), "l1\n/opt/tool/tool\n", "{}", text(&result.stderr));
}

#[test]
fn a_copied_script_is_run_and_tmp_stays_open() {
    let stage = Stage::new(&Who::Root);
    stage.ok("create l1");
    let script = stage.file("script_1.sh", "#! /usr/bin/env zsh\nprint from $0\n", 0o755);
    stage.with(&["cp", "--mode", "host2layer", &script, "l1:/tmp"]);
    stage.ok("merge -l l1 -m m1");
    stage.with(&["cp", "--mode", "host2merged", &script, "m1:/tmp"]);
    assert_eq!(
        stage.run("m1", "/tmp/script_1.sh; stat -c %a /tmp /root"),
        "from /tmp/script_1.sh\n1777\n700\n"
    );
    let mode =
        fs::metadata(stage.content("l1").join("tmp")).expect("a folder of the layer").permissions().mode();
    assert_eq!(mode & 0o7777, 0o1777);
    let devices = output(&mut stage.script(
        "m1",
        &[],
        "test -c /dev/null && test -c /dev/full && ls /dev/loop-control /dev/pts/ptmx",
    ));
    well(&devices);
    let minimal = output(stage.command(&["run", "--merged-point", "m1", "ls", "/dev"]).stdin(Stdio::null()));
    assert!(!well(&minimal).contains("loop"), "{}", text(&minimal.stdout));
    stage.ok("unmerge m1");
}
