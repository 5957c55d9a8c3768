//! Two mount namespaces on one store, as two containers that share a volume.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{TestUser, await_no_process_about, output, processes_about, run, tool};

use crate::disk::{Kind, SmallDisk};
use crate::stage::{Stage, names};

/// How a container is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Mounts of its own.
    Mounts,
    /// Processes of its own, too.
    Processes,
    /// Mounts of its own, but what the machine mounts appears there.
    Follows,
}

/// Processes in namespaces of their own, which last as long as the value.
struct Container {
    child: Child,
    /// The process to join.
    inside: u32,
}

impl Container {
    fn new(cut: Cut) -> Self {
        Self::in_folder(cut, Path::new("/"))
    }

    /// One whose process has its working directory in `folder`.
    fn in_folder(cut: Cut, folder: &Path) -> Self {
        let mut unshare = Command::new(tool("unshare"));
        unshare.args(["--mount", "--propagation", if cut == Cut::Follows { "slave" } else { "private" }]);
        if cut == Cut::Processes {
            unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        let mut child = unshare
            .arg(tool("cat"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It has something to say of being killed.
            .stderr(Stdio::null())
            .current_dir(folder)
            .spawn()
            .expect("a container starts");
        // An answer shows that its namespaces are there.
        writeln!(child.stdin.as_mut().expect("a pipe"), "ready").expect("a line for it");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("its answer");
        assert_eq!(line, "ready\n");
        let inside = if cut == Cut::Processes { only_child(child.id()) } else { child.id() };
        Self { child, inside }
    }

    /// A command in the container.
    fn command(&self, stage: &Stage<'_>, words: &[&str]) -> Command {
        let nsenter = tool("nsenter").display().to_string();
        let target = format!("--target={}", self.inside);
        let before: Vec<String> = [nsenter, target, "--mount".into(), "--pid".into(), "--".into()].into();
        stage.command_behind(&before, words)
    }

    fn output(&self, stage: &Stage<'_>, words: &[&str]) -> Output {
        output(&mut self.command(stage, words))
    }

    fn ok(&self, stage: &Stage<'_>, words: &[&str]) -> String {
        String::from_utf8_lossy(&run(&mut self.command(stage, words))).into_owned()
    }

    /// Kills everything in it.
    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        for pid in [Some(self.inside), Some(self.child.id())].into_iter().flatten() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.end();
    }
}

/// The kernel takes the mounts of an ended namespace apart on its own time, after its last process has gone.
fn await_unused(stage: &Stage<'_>) {
    const LOOKS: usize = 1_000;
    let used = || stage.list(["list", "layers", "--used"]);
    assert!((0..LOOKS).any(|_| used().is_empty()), "layers of the dead are used: {:?}", used());
}

fn only_child(process: u32) -> u32 {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(&path).expect("the processes it started");
    children.trim().parse().unwrap_or_else(|_| panic!("{path} has `{children}`"))
}

fn message(output: &Output) -> String {
    assert!(!output.status.success(), "it succeeded: {}", String::from_utf8_lossy(&output.stdout));
    assert!(matches!(output.status.code(), Some(1 | 125)), "{}", output.status);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A store with a lower layer and two that can be on top.
fn stage() -> Stage<'static> {
    let stage = Stage::new(None);
    ["low", "top", "other"].iter().for_each(|name| assert_eq!(stage.ok(["create", name]), ""));
    stage
}

const MERGE: &[&str] = &["merge", "-l", "low", "-l", "top", "-m", "p"];
const WELL: &[&str] = &["run", "--merged-point=p", "echo", "well"];

#[test]
fn what_one_uses_the_other_cannot_take() {
    for cut in [Cut::Mounts, Cut::Processes] {
        let stage = stage();
        let archive = stage.path("low.tar").display().to_string();
        stage.ok(["export", "-l", "low", "-dest", &archive]);
        let container = Container::new(cut);
        container.ok(&stage, MERGE);
        assert_eq!(stage.mounts(), Vec::<std::path::PathBuf>::new(), "{cut:?}: it is mounted there only");
        assert_eq!(stage.list(["list", "layers", "--used"]), ["low", "top"], "{cut:?}");
        let refused: &[&[&str]] = &[
            &["delete", "low"],
            &["delete", "top"],
            &["move", "low"],
            &["import", &archive],
            &["merge", "-l", "top", "-m", "q"],
            &["merge", "-l", "low", "-l", "top", "-m", "q"],
            // The name is taken, whatever lies below it.
            &["merge", "-l", "other", "-m", "p"],
            // What is mounted there cannot be unmounted or entered from here.
            WELL,
        ];
        for words in refused {
            let message = message(&stage.output(*words));
            assert!(message.contains("`p`") || message.contains("`top`"), "{cut:?}, {words:?}: {message}");
            assert_eq!(container.ok(&stage, WELL), "well\n", "{cut:?}, after {words:?}");
        }
        // A lower layer can be shared.
        stage.ok(["merge", "-l", "low", "-l", "other", "-m", "q"]);
        assert_eq!(stage.ok(["run", "--merged-point=q", "echo", "well"]), "well\n");
        assert_eq!(
            container.ok(&stage, &["list", "layers", "--used"]),
            "low\nother\ntop\n",
            "{cut:?}, from there"
        );
        message(&container.output(&stage, &["delete", "other"]));
        stage.ok(["fsck", "--repair"]);
        assert_eq!(container.ok(&stage, WELL), "well\n", "{cut:?}, after a repair");
        // Who names a merge point of the other one unmounts it there, or is refused: nothing in between.
        let unmerged = stage.output(["unmerge", "p"]);
        if unmerged.status.success() {
            message(&container.output(&stage, WELL));
            assert_eq!(stage.list(["list", "layers", "--used"]), ["low", "other"], "{cut:?}, after unmerge");
        } else {
            message(&unmerged);
            assert_eq!(container.ok(&stage, WELL), "well\n", "{cut:?}, after unmerge");
            container.ok(&stage, &["unmerge", "p"]);
        }
        stage.ok(["unmerge", "q"]);
        stage.ok(["delete", "--all"]);
    }
}

#[test]
fn a_dead_one_blocks_nothing() {
    for cut in [Cut::Mounts, Cut::Processes] {
        let stage = stage();
        for next in [&["delete", "top"][..], &["merge", "-l", "top", "-m", "p"], MERGE, &["move", "low"]] {
            let container = Container::new(cut);
            container.ok(&stage, MERGE);
            container.kill();
            await_unused(&stage);
            stage.ok(next);
            stage.ok(["unmerge", "p"]);
            assert_eq!(stage.list(["list", "layers", "--used"]), Vec::<String>::new(), "{cut:?}, {next:?}");
            assert_eq!(names(&stage.runtime().join("lease")), Vec::<String>::new(), "{cut:?}, {next:?}");
            let _ = stage.output(["create", "top"]);
        }
        stage.ok(["fsck", "--repair"]);
        stage.fsck_is_clean("after the dead");
        assert_eq!(names(&stage.runtime().join("work")), Vec::<String>::new(), "{cut:?}");
    }
}

#[test]
fn one_of_two_gets_the_top() {
    const ROUNDS: usize = 12;
    let stage = stage();
    let containers = [Container::new(Cut::Mounts), Container::new(Cut::Processes)];
    let mut wins = [0, 0];
    for round in 0..ROUNDS {
        let outputs = thread::scope(|scope| {
            let merges = containers.iter().zip(["p", "q"]).map(|(container, point)| {
                let stage = &stage;
                scope
                    .spawn(move || container.output(stage, &["merge", "-l", "low", "-l", "top", "-m", point]))
            });
            let merges: Vec<_> = merges.collect();
            merges.into_iter().map(|merge| merge.join().expect("a merge")).collect::<Vec<_>>()
        });
        let won: Vec<bool> = outputs.iter().map(|output| output.status.success()).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}: {outputs:#?}");
        for (number, container) in containers.iter().enumerate() {
            wins[number] += usize::from(won[number]);
            container.ok(&stage, &["unmerge", ["p", "q"][number]]);
        }
    }
    println!(
        "soak: two containers merge one top: {ROUNDS} rounds, the first got it {} times, the second {}",
        wins[0], wins[1]
    );
}

#[test]
fn a_lease_from_before_a_reboot() {
    let stage = stage();
    let container = Container::new(Cut::Mounts);
    container.ok(&stage, MERGE);
    let path = stage.runtime().join("lease/p.json");
    let lease = fs::read_to_string(&path).expect("a lease");
    container.kill();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("this boot");
    assert!(lease.contains(boot.trim()), "a lease says which boot it is of: {lease}");
    fs::write(&path, lease.replace(boot.trim(), "00000000-0000-4000-8000-000000000000"))
        .expect("an old lease");
    assert_eq!(stage.list(["list", "layers", "--used"]), Vec::<String>::new());
    stage.ok(MERGE);
    assert_eq!(stage.ok(WELL), "well\n");
    stage.ok(["unmerge", "p"]);
}

#[test]
fn a_copy_of_a_mount_elsewhere() {
    let stage = stage();
    stage.ok(MERGE);
    // It gets a copy of all mounts, which goes with the merge point's folder.
    let idle = Container::new(Cut::Mounts);
    stage.ok(["unmerge", "p"]);
    stage.ok(MERGE);
    // A process at work in a copy keeps it.
    let working = Container::in_folder(Cut::Mounts, &stage.runtime().join("merged/p"));
    stage.ok(["unmerge", "p"]);
    let refused = message(&stage.output(MERGE));
    assert!(refused.contains("`top`"), "{refused}");
    assert_eq!(stage.points(), Vec::<String>::new());
    stage.ok(["merge", "-l", "low", "-l", "other", "-m", "p"]);
    stage.ok(["unmerge", "p"]);
    working.kill();
    stage.ok(MERGE);
    assert_eq!(stage.ok(WELL), "well\n");
    stage.ok(["unmerge", "p"]);
    idle.kill();
    stage.fsck_is_clean("after copies");
}

#[test]
fn mounts_that_spread_go_with_the_merge_point() {
    let disk = SmallDisk::new(Kind::Ext4, 16);
    run(Command::new(tool("mount")).arg("--make-shared").arg(disk.path()));
    let stage = Stage::bare(None).runtime_in(&disk.path());
    stage.setup();
    ["low", "top", "other"].iter().for_each(|name| assert_eq!(stage.ok(["create", name]), ""));
    let container = Container::new(Cut::Follows);
    for _ in 0..3 {
        stage.ok(MERGE);
        assert_eq!(stage.ok(WELL), "well\n");
        stage.ok(["unmerge", "p"]);
    }
    stage.ok(["delete", "top"]);
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", container.inside)).expect("its mounts");
    let merged = stage.runtime().join("merged").display().to_string();
    assert!(!table.contains(&merged), "what was unmerged is still mounted in a container:\n{table}");
}

#[test]
fn an_ordinary_users_process_that_is_killed() {
    let user = TestUser::create();
    let stage = Stage::new(Some(&user));
    ["low", "top"].iter().for_each(|name| assert_eq!(stage.ok(["create", name]), ""));
    for next in [&["delete", "low"][..], MERGE, &["merge", "-l", "top", "-m", "q"]] {
        let _ = stage.output(["create", "low"]);
        stage.ok(MERGE);
        assert_eq!(stage.list(["list", "layers", "--used"]), ["low", "top"]);
        let refused = message(&stage.output(["delete", "low"]));
        assert!(refused.contains("`p`"), "{refused}");
        message(&stage.output(["merge", "-l", "top", "-m", "q"]));
        // By name as well: a child that another test has just forked has copies of this one's descriptors.
        let is_holder = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "ovmlayer-holder\n")
        };
        let holders: Vec<u32> = processes_about(stage.folder()).into_keys().filter(is_holder).collect();
        assert!(!holders.is_empty(), "an ordinary user's merge point lives in a process");
        for pid in holders.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        await_no_process_about(stage.folder(), "after the kill", |_| false);
        stage.ok(next);
        assert_eq!(stage.output(["unmerge", "p"]).status.code(), Some(0));
        stage.ok(["unmerge", "q"]);
        assert_eq!(names(&stage.runtime().join("lease")), Vec::<String>::new(), "{next:?}");
    }
    stage.ok(["fsck", "--repair"]);
    stage.fsck_is_clean("after the killed");
}

#[test]
fn an_ordinary_user_beside_root() {
    let user = TestUser::create();
    let stage = Stage::new(Some(&user));
    stage.ok(["create", "own"]);
    for spread in [true, false] {
        let disk = SmallDisk::new(Kind::Ext4, 16);
        let how = if spread { "--make-shared" } else { "--make-private" };
        run(Command::new(tool("mount")).arg(how).arg(disk.path()));
        let root = Stage::bare(None).runtime_in(&disk.path());
        root.setup();
        ["low", "top"].iter().for_each(|name| assert_eq!(root.ok(["create", name]), ""));
        root.ok(MERGE);
        // Its namespace begins with a copy of all mounts, which must not hold what root unmounts.
        stage.ok(["merge", "-l", "own", "-m", "own"]);
        root.ok(["unmerge", "p"]);
        root.ok(MERGE);
        root.ok(["unmerge", "p"]);
        root.ok(["delete", "top"]);
        assert_eq!(stage.ok(["run", "--merged-point=own", "echo", "well"]), "well\n");
        stage.ok(["unmerge", "own"]);
    }
}

#[test]
fn what_the_kernel_forbids_an_ordinary_user() {
    let user = TestUser::create();
    let refused: &[(&str, &[&str])] =
        &[("unshare", &["--mount", "true"]), ("mount", &["-t", "tmpfs", "tmpfs", "/mnt"])];
    for (program, arguments) in refused {
        let path = tool(program);
        assert!(Path::new(&path).is_file());
        let result = output(user.command(&path).args(*arguments).env("LC_ALL", "C"));
        let said = String::from_utf8_lossy(&result.stderr).to_lowercase();
        // `mount` asks who its user is before it asks the kernel.
        let forbidden = said.contains("operation not permitted") || said.contains("must be superuser");
        assert!(!result.status.success() && forbidden, "{program}: {said}");
    }
    println!("soak: forbidden to an ordinary user: unshare --mount EPERM (1), mount EPERM (1)");
}
