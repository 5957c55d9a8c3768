//! What a caller shows of the machine inside: files and folders, wanted or missing, read or written.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use testkit::{output, run, tool};

use crate::stage::{Stage, Who, text, well};

#[test]
fn root_binds() {
    binds(&Who::Root);
}

#[test]
fn an_ordinary_user_binds() {
    binds(&Who::user());
}

fn binds(who: &Who) {
    let stage = Stage::new(who);
    stage.ok("create l1");
    stage.ok("merge -l l1 -m m1");
    a_folder_with_a_space(&stage);
    files_at_new_places(&stage);
    both_ways(&stage);
    in_the_given_order(&stage);
    stage.ok("unmerge m1");
    nothing_is_left_in_the_layer(&stage);
}

/// As oocana's own test has it: the target is missing, its name has a space, and the listing is all of the output.
fn a_folder_with_a_space(stage: &Stage) {
    stage.file("example dir/file", "hello", 0o644);
    let folder = stage.at("example dir");
    let mount = format!("--mount=type=bind,src={folder},dst={folder},rw,nonrecursive");
    let mut command = stage.script("m1", &[&mount], &format!("ls '{folder}'"));
    let result = command.env("OVMLAYER_LOG", stage.at("ovmlayer.log")).output().expect("a started program");
    assert_eq!(well(&result).trim(), "file");
    let apart = ["--mount".to_owned(), mount.replacen("--mount=", "", 1)];
    let apart: Vec<&str> = apart.iter().map(String::as_str).chain(["--workdir", &folder]).collect();
    assert_eq!(
        well(&stage.script("m1", &apart, "pwd; cat file").output().expect("a started program")),
        format!("{folder}\nhello")
    );
}

/// As the executor's layer is built: no `--all-devices`, `source=`, no word for reading or writing, files as sources and
/// targets whose folder is missing.
fn files_at_new_places(stage: &Stage) {
    let script = stage.file(
        "deps/install-executor.sh",
        "#!/bin/bash\nset -eu\ncd /root/layer-deps\nls\ncat package.json\npwd -P\n",
        0o755,
    );
    let package = stage.file("deps/package.json", "{}\n", 0o644);
    let result = output(&mut stage.command(&[
        "run",
        "--workdir=/root",
        "--mount",
        &format!("type=bind,source={script},dst=/root/layer-deps/install-executor.sh,nonrecursive"),
        "--mount",
        &format!("type=bind,source={package},dst=/root/layer-deps/package.json,nonrecursive"),
        "--merged-point",
        "m1",
        "zsh",
        "-i",
        "-c",
        "/root/layer-deps/install-executor.sh",
    ]));
    assert_eq!(well(&result), "install-executor.sh\npackage.json\n{}\n/root/layer-deps\n");
    let env = stage.file("executor.env", "A=1\n", 0o644);
    let bind = format!("--mount=type=bind,src={env},dst=/root/oocana/bind,ro,nonrecursive");
    assert_eq!(
        well(
            &stage
                .script("m1", &[&bind], "test -f /root/oocana/bind && cat /root/oocana/bind")
                .output()
                .expect("a program")
        ),
        "A=1\n"
    );
    let mut write = stage.script("m1", &[&bind], "echo 2 >> /root/oocana/bind");
    assert!(!write.output().expect("a program").status.success(), "a bind that is read-only was written to");
    assert_eq!(fs::read_to_string(env).expect("the machine's file"), "A=1\n");
}

/// What is written goes to the machine, as who started the program; what the machine writes is seen at once.
fn both_ways(stage: &Stage) {
    stage.file("shared/from machine", "1", 0o644);
    let shared = stage.at("shared");
    let owner = fs::metadata(&shared).expect("a folder").uid();
    // A caller binds over a folder of the root file system as well.
    let bind = format!("--mount=type=bind,src={shared},dst=/tmp,rw,nonrecursive");
    let script =
        "cat '/tmp/from machine'; mkdir /tmp/made; echo inside > /tmp/made/note; chmod 600 /tmp/made/note";
    assert_eq!(well(&stage.script("m1", &[&bind], script).output().expect("a program")), "1");
    let made = stage.folder().join("shared/made/note");
    let facts = fs::metadata(&made).expect("a file that was written inside");
    assert_eq!((facts.uid(), facts.mode() & 0o7777), (owner, 0o600));
    assert_eq!(stage.run("m1", "stat -c %a /tmp; ls -A /tmp"), "1777\n", "/tmp is the layer's own again");
}

/// The later bind lies over the earlier one; a mount below a folder is there only when it is asked for.
fn in_the_given_order(stage: &Stage) {
    stage.file("outer/inner/name", "outer", 0o644);
    stage.file("other/name", "other", 0o644);
    let (outer, other) = (stage.at("outer"), stage.at("other"));
    let over = [
        format!("--mount=type=bind,src={outer},dst=/data,rw,nonrecursive"),
        format!("--mount=type=bind,src={other},dst=/data/inner,ro,nonrecursive"),
    ];
    let read = |binds: &[&str]| {
        well(&stage.script("m1", binds, "cat /data/inner/name").output().expect("a program"))
    };
    assert_eq!(read(&[&over[0], &over[1]]), "other");
    assert_eq!(read(&[&over[1], &over[0]]), "outer");
    if stage.who.is_root() {
        let inner = stage.at("outer/inner");
        run(Command::new(tool("mount")).args(["--bind", &other, &inner]));
        assert_eq!(read(&[&over[0]]), "outer", "nonrecursive");
        assert_eq!(read(&[&over[0].replace("nonrecursive", "recursive")]), "other", "recursive");
        run(Command::new(tool("umount")).arg(&inner));
    }
    for (bind, reason) in [
        ("type=bind,src=/no/such/source,dst=/data,rw,nonrecursive", "/no/such/source"),
        ("type=bind,dst=/data", "src"),
        ("type=tmpfs,src=/tmp,dst=/data", "tmpfs"),
    ] {
        let result = output(&mut stage.script("m1", &["--mount", bind], "true"));
        let errors = text(&result.stderr);
        assert!(!result.status.success() && errors.contains(reason), "{bind}: {errors}");
    }
}

/// Targets that were made for a bind are gone; what the layer holds was written to it.
fn nothing_is_left_in_the_layer(stage: &Stage) {
    let content = stage.content("l1");
    for place in ["tmp/example dir", "root/layer-deps", "root/oocana", "data"] {
        assert!(!content.join(place).exists(), "{place} stays in the layer");
    }
    let folder = stage.at("example dir");
    assert!(!content.join(folder.trim_start_matches('/')).exists(), "{folder} stays in the layer");
}
