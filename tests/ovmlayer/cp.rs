//! `cp` (contract 2.3).

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use crate::{Stage, scenarios};

scenarios!(
    the_source_is_put_into_the_folder_under_its_own_name,
    tmp_keeps_its_mode_after_a_copy_into_it,
    scripts_keep_their_mode_and_can_be_run,
    the_top_of_a_live_point_is_written_to_through_it,
    a_lower_layer_in_use_is_refused,
    two_sources_share_a_folder,
    and_back,
    errors_name_what_is_wrong,
);

fn the_source_is_put_into_the_folder_under_its_own_name(stage: &Stage<'_>) {
    stage.does("create l");
    stage.write("source package/.hidden", "hidden\n", 0o644);
    stage.write("source package/node_modules/.bin/tool", "#!/bin/sh\necho tool\n", 0o755);
    symlink(".bin/tool", stage.path("source package/node_modules/link")).expect("a link");
    stage.ok(["cp", "--mode", "host2layer", &stage.arg("source package"), "l:/home/runner/work dir"]);
    stage.ok(["cp", "--mode", "host2layer", &stage.arg("marker"), "l:/"]);
    stage.does("merge -l l -m m");
    let script = "cd '/home/runner/work dir/source package' && cat .hidden && node_modules/link && cat /marker && stat -c %u .hidden";
    assert_eq!(stage.sh("m", script), "hidden\ntool\na file of the machine\n0\n");
}

fn tmp_keeps_its_mode_after_a_copy_into_it(stage: &Stage<'_>) {
    for (mode, target) in [("host2layer", "l"), ("host2merged", "m")] {
        stage.does("create l");
        if mode == "host2merged" {
            stage.does("merge -l l -m m");
        }
        for folder in ["/tmp", "/root", "/var/lib/new"] {
            stage.ok(["cp", "--mode", mode, &stage.arg("marker"), &format!("{target}:{folder}")]);
        }
        if mode == "host2layer" {
            stage.does("merge -l l -m m");
        }
        assert_eq!(
            stage.sh("m", "stat -c '%a %u %g' /tmp /root /var/lib/new"),
            "1777 0 0\n700 0 0\n755 0 0\n",
            "{mode}"
        );
        stage.does("unmerge m");
        stage.does("delete l");
    }
}

fn scripts_keep_their_mode_and_can_be_run(stage: &Stage<'_>) {
    stage.does("create l");
    stage.does("merge -l l -m m");
    let script =
        stage.write("script_x.sh", "#! /usr/bin/env zsh\nset -eo pipefail\necho bootstrapped\n", 0o755);
    stage.ok(["cp", "--mode", "host2merged", script.to_str().expect("text"), "m:/tmp"]);
    assert_eq!(
        stage.ok(["run", "--all-devices", "--merged-point=m", "zsh", "-i", "-c", "/tmp/script_x.sh"]),
        "bootstrapped\n"
    );
    // Again, as a second bootstrap would: the file is replaced.
    fs::write(&script, "#! /usr/bin/env zsh\necho again\n").expect("a script");
    stage.ok(["cp", "--mode", "host2merged", script.to_str().expect("text"), "m:/tmp"]);
    assert_eq!(stage.ok(["run", "--merged-point=m", "zsh", "-i", "-c", "/tmp/script_x.sh"]), "again\n");
}

fn the_top_of_a_live_point_is_written_to_through_it(stage: &Stage<'_>) {
    stage.does("create l");
    stage.does("merge -l l -m m");
    assert_eq!(stage.sh("m", "test ! -e /new/marker && echo not yet"), "not yet\n");
    stage.ok(["cp", "--mode", "host2layer", &stage.arg("marker"), "l:/new"]);
    assert_eq!(stage.sh("m", "cat /new/marker"), "a file of the machine\n");
}

fn a_lower_layer_in_use_is_refused(stage: &Stage<'_>) {
    stage.does("create low");
    stage.does("create top");
    stage.does("merge -l low -l top -m m");
    let errors = stage.fails(["cp", "--mode", "host2layer", &stage.arg("marker"), "low:/"]);
    assert!(errors.contains("layer `low`") && errors.contains("ovmlayer unmerge m"), "{errors}");
    assert!(!stage.path("runtime/layer_dir/low/marker").exists());
}

fn two_sources_share_a_folder(stage: &Stage<'_>) {
    stage.does("create python_executor");
    for name in ["executor", "sdk"] {
        stage.write(&format!("{name}/file"), name, 0o644);
        stage.ok(["cp", "--mode", "host2layer", &stage.arg(name), "python_executor:/python-executor"]);
    }
    stage.does("merge -l python_executor -m m");
    assert_eq!(stage.sh("m", "cd /python-executor && ls && cat */file"), "executor\nsdk\nexecutorsdk");
}

fn and_back(stage: &Stage<'_>) {
    stage.does("create l");
    stage.does("merge -l l -m m");
    stage.sh("m", "mkdir -p /app/sub; echo inside > /app/sub/file; chmod 4755 /app/sub/file; ln -s sub/file /app/link; rm /etc/os-release");
    stage.does("cp --mode merged2host m:/app from-merged/new");
    stage.does("cp --mode merged2host m:/app/link .");
    stage.does("unmerge m");
    stage.does("cp --mode layer2host l:/app from-layer");
    let warned = stage.try_run(["cp", "--mode", "layer2host", "l:/etc", "from-layer"]);
    assert!(String::from_utf8_lossy(&warned.stderr).contains("1 marks of removed files were left out"));
    for folder in ["from-merged/new", "from-layer"] {
        let file = stage.path(folder).join("app/sub/file");
        assert_eq!(fs::read_to_string(&file).expect("a file"), "inside\n");
        let (status, owner) =
            (file.metadata().expect("a file"), stage.path("marker").metadata().expect("a file"));
        assert_eq!((status.uid(), status.mode() & 0o7777), (owner.uid(), 0o755), "no set-id bits");
        assert!(stage.path(folder).join("app/link").symlink_metadata().expect("a link").is_symlink());
    }
    assert_eq!(fs::read_to_string(stage.path("link")).expect("what the link led to"), "inside\n");
    assert!(stage.refuses("cp --mode layer2host l:/none .").contains("there is no `/none`"));
}

fn errors_name_what_is_wrong(stage: &Stage<'_>) {
    stage.does("create l");
    stage.write("etc/hosts", "", 0o644);
    stage.write("bin/x", "", 0o644);
    let table = [
        ("no such layer", ["host2layer", "marker", "none:/"], "there is no layer `none`"),
        ("no such point", ["host2merged", "marker", "none:/"], "there is no merge point `none`"),
        ("no source", ["host2layer", "nothing", "l:/"], "cannot copy `nothing`"),
        (
            "into a file",
            ["host2layer", "marker", "l:/etc/os-release"],
            "`/etc/os-release` is a file, not a folder",
        ),
        (
            "over a link",
            ["host2layer", "bin", "l:/"],
            "cannot put a folder at `/bin`: a symbolic link is there",
        ),
        ("a bad name", ["host2layer", "marker", "/tmp"], "cannot be the name of a layer"),
    ];
    for (summary, [mode, source, destination], message) in table {
        let errors = stage.fails(["cp", "--mode", mode, source, destination]);
        assert!(errors.contains(message), "{summary}: {errors}");
    }
}
