//! Every argv of contract 1.1, word for word as its callers write it, with its effect.

use std::fs;

use crate::{Stage, scenarios};

scenarios!(what_oocana_does, what_the_executors_do, what_the_workflows_do, what_came_and_went);

/// A script of a package, as oocana writes it.
const BOOTSTRAP: &str =
    "#! /usr/bin/env zsh\nset -eo pipefail\ncat .hidden > /bootstrapped\nexit ${EXIT:-0}\n";

/// The way of a package: source layer, bootstrap layer, export, deletion, import, use.
fn what_oocana_does(stage: &Stage<'_>) {
    stage.does("test system");
    stage.does("delete --all");
    stage.write("work/source package/.hidden", "hidden\n", 0o644);
    let script = stage.write("script_1.sh", BOOTSTRAP, 0o755);
    let package = stage.arg("work/source package");
    stage.does("create layer_base");
    stage.does("create layer_source");
    stage.ok(["cp", "--mode", "host2layer", &package, &format!("layer_source:{}", stage.arg("work"))]);
    stage.does("create layer_boot");
    stage.does("merge -l layer_base -l layer_source -l layer_boot -m merge_1");
    stage.ok(["cp", "--mode", "host2merged", script.to_str().expect("text"), &format!("merge_1:{package}")]);
    let cache = stage.arg("cache");
    stage.make_folders("cache".as_ref());
    stage.write("variables", "FROM_FILE=1\nEXIT=5\n", 0o644);
    let arguments = |extra: &[&str]| -> Vec<String> {
        let words = [
            "run",
            "--all-devices",
            &format!("--mount=type=bind,src={cache},dst=/root/.npm,rw,nonrecursive"),
            &format!("--workdir={package}"),
            "--env",
            "DEBIAN_FRONTEND=noninteractive",
        ];
        let rest = [
            &format!("--env-file={}", stage.arg("variables")),
            "--merged-point=merge_1",
            "zsh",
            "-i",
            "-c",
            &format!("'{package}/script_1.sh'"),
        ];
        words.iter().chain(extra).chain(&rest).map(|word| (*word).to_owned()).collect()
    };
    assert_eq!(stage.try_run(arguments(&[])).status.code(), Some(5), "the exit code is the script's");
    stage.ok(arguments(&["--env", "EXIT=0"]));
    stage.does("unmerge merge_1");
    assert_eq!(stage.does("list layers"), "layer_base\nlayer_boot\nlayer_source\n");
    assert_eq!(stage.does("list layers --used"), "");
    assert_eq!(stage.does("list layers --unused"), "layer_base\nlayer_boot\nlayer_source\n");

    let archive = stage.arg("layers.tar");
    for _ in 0..2 {
        stage.ok(["export", "-l", "layer_base", "-l", "layer_source", "-l", "layer_boot", "-dest", &archive]);
    }
    stage.does("delete layer_base");
    stage.does("delete layer_boot");
    // `layer_source` is still there: an import replaces it.
    stage.ok(["import", &archive]);
    assert_eq!(stage.does("list layers"), "layer_base\nlayer_boot\nlayer_source\n");
    stage.does("merge -l layer_source -m merge_2");
    stage.ok([
        "run", "--all-devices", "--env", "DEBIAN_FRONTEND=noninteractive", "--env", &format!("SOURCE_DIR={package}"),
        "--env", "PACKAGE_PATH=/new/package", "--merged-point=merge_2", "zsh", "-i", "-c",
        "mkdir -p -- \"$PACKAGE_PATH\"; if [ -d \"$SOURCE_DIR\" ]; then find \"$SOURCE_DIR\" -mindepth 1 -maxdepth 1 -exec mv -- '{}' \"$PACKAGE_PATH\" \\;; fi",
    ]);
    stage.does("unmerge merge_2");
    stage.does("create tmp_layer_1");
    stage.does("merge -l layer_base -l layer_source -l layer_boot -l tmp_layer_1 -m merge_1");
    assert_eq!(stage.sh("merge_1", "cat /new/package/.hidden /bootstrapped"), "hidden\nhidden\n");
    assert_eq!(stage.layers(&["--used"]), ["layer_base", "layer_boot", "layer_source", "tmp_layer_1"]);
    stage.does("unmerge merge_1");
    for layer in ["layer_base", "layer_source", "layer_boot", "layer_boot"] {
        stage.does(&format!("move {layer}"));
    }
    stage.does("merge -l layer_base -l layer_source -l layer_boot -l tmp_layer_1 -m merge_1");
    assert_eq!(stage.sh("merge_1", "cat /bootstrapped"), "hidden\n");
    stage.does("unmerge merge_1");
    stage.does("delete tmp_layer_1");
    stage.does("delete layer_source");
    assert_eq!(stage.does("list layers"), "layer_base\nlayer_boot\n");
}

/// `set -xeuo pipefail` on a fresh machine.
fn what_the_executors_do(stage: &Stage<'_>) {
    stage.does("delete python_executor");
    stage.does("create python_executor");
    for name in ["oocana", "executor"] {
        stage.write(&format!("{name}/__init__.py"), name, 0o644);
        stage.ok(["cp", "--mode", "host2layer", &stage.arg(name), "python_executor:/python-executor"]);
    }
    let script = stage.write(
        "install-python.sh",
        "#!/usr/bin/env bash\necho 'export PATH=/py:$PATH' >> ~/.zshrc\n",
        0o755,
    );
    stage.ok(["cp", "--mode", "host2layer", script.to_str().expect("text"), "python_executor:/"]);
    let mp = "merge-1717";
    stage.ok(["merge", "-l", "python_executor", "-m", mp]);
    let point = format!("--merged-point={mp}");
    stage.ok(["run", "--all-devices", &point, "bash", "-c", "-i", "/install-python.sh"]);
    assert_eq!(
        stage.ok(["run", "--all-devices", &point, "bash", "-c", "cat /python-executor/*/__init__.py"]),
        "executoroocana"
    );
    let path = stage.ok(["run", "--all-devices", &point, "zsh", "-c", "-i", "echo $PATH"]);
    assert!(path.starts_with("/py:"), "{path}");
    stage.does(&format!("unmerge {mp}"));
    fs::write(stage.path("layer.json"), "{\"base_rootfs\":[\"python_executor\"]}").expect("a file");
}

fn what_the_workflows_do(stage: &Stage<'_>) {
    stage.does("create executor");
    stage.does("merge -l executor -m m1");
    let script = stage.write(
        "install-executor.sh",
        "#!/usr/bin/env zsh\ncat /root/layer-deps/package.json; echo done > /installed\n",
        0o755,
    );
    let json = stage.write("package.json", "{}\n", 0o644);
    let out = stage.ok([
        "run",
        "--workdir=/root",
        "--mount",
        &format!(
            "type=bind,source={},dst=/root/layer-deps/install-executor.sh,nonrecursive",
            script.display()
        ),
        "--mount",
        &format!("type=bind,source={},dst=/root/layer-deps/package.json,nonrecursive", json.display()),
        "--merged-point",
        "m1",
        "zsh",
        "-i",
        "-c",
        "/root/layer-deps/install-executor.sh",
    ]);
    assert_eq!(out, "{}\n");
    stage.does("unmerge m1");
    stage.ok(["export", "--layer=executor", "--dest=amd64-executor.tar"]);
    stage.does("delete executor");
    // The runtime image's first start, whose guard is the folder.
    stage.ok(["import", "--rename", "executor", &stage.arg("amd64-executor.tar")]);
    assert!(stage.path("runtime/layer_dir/executor").is_dir());
    stage.ok(["import", "--rename=other", &stage.arg("amd64-executor.tar")]);
    assert_eq!(stage.does("list layers"), "executor\nother\n");
    stage.does("merge -l executor -l other -m m");
    assert_eq!(stage.sh("m", "cat /installed"), "done\n");
}

fn what_came_and_went(stage: &Stage<'_>) {
    stage.does("create l1");
    stage.ok(["export", "-l", "l1", "-dest", &stage.arg("l1.tar")]);
    stage.does("delete l1");
    stage.ok(["import", "--external", &stage.arg("external"), &stage.arg("l1.tar")]);
    assert!(stage.path("external/layer_dir/l1").is_dir() && stage.layers(&[]) == ["l1"]);
    let errors = stage.fails(["import", "--external", "/elsewhere", &stage.arg("l1.tar")]);
    assert!(errors.contains("external store"), "{errors}");
    stage.does("create l2");
    stage.does("merge -l l1 -l l2 -m m");
    let folder = stage.arg("");
    let mount = format!("--mount type=bind,src={folder},dst=/a,ro");
    assert_eq!(
        stage.ok([
            "run",
            "--all-device",
            &mount,
            "--env A=b c",
            "--merged-point=m",
            "--",
            "sh",
            "-c",
            "cat /a/marker; echo $A"
        ]),
        "a file of the machine\nb c\n"
    );
}
