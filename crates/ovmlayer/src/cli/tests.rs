//! What callers write, and what is understood. The words are those of oocana and of the scripts of its executors.

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::spelling::normalise;

fn parse(words: &[&str]) -> Result<Command, clap::Error> {
    let mut command = Cli::command();
    let words = std::iter::once("ovmlayer").chain(words.iter().copied());
    let words = normalise(&command, words.map(Into::into));
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map(|cli| cli.command)
}

/// Each argv must be understood as the command that Rust shows in this way; only the parts that are set are compared.
fn understood(table: &[(&str, &[&str], &str)]) {
    for (summary, words, want) in table {
        let command = parse(words).unwrap_or_else(|error| panic!("{summary}: {error}"));
        assert_eq!(shown(&command), *want, "{summary}: {words:?}");
    }
}

/// The debug form without what is not set.
fn shown(command: &Command) -> String {
    let mut text = format!("{command:?}");
    for unset in ["None", "[]", "false"] {
        while let Some(end) = text.find(&format!(": {unset}")) {
            let start = text[..end].rfind([' ', '{']).map_or(0, |at| at + 1);
            let after = end + 2 + unset.len();
            let after = if text[after..].starts_with(", ") { after + 2 } else { after };
            text.replace_range(start..after, "");
        }
    }
    text.replace(",  }", " }").replace("{  }", "{}")
}

#[test]
fn every_verb_of_the_contract() {
    understood(&[
        ("the probe", &["test", "system"], "Test(System)"),
        ("create", &["create", "layer_1"], "Create(Create { name: \"layer_1\" })"),
        ("delete", &["delete", "python_executor"], "Delete(Delete { name: Some(\"python_executor\") })"),
        ("delete all", &["delete", "--all"], "Delete(Delete { all: true })"),
        ("list", &["list", "layers"], "List(Layers(ListLayers {}))"),
        ("list used", &["list", "layers", "--used"], "List(Layers(ListLayers { used: true }))"),
        ("list unused", &["list", "layers", "--unused"], "List(Layers(ListLayers { unused: true }))"),
        ("list, singular", &["list", "layer"], "List(Layers(ListLayers {}))"),
        ("merge points", &["list", "merged-points"], "List(MergedPoints)"),
        (
            "merge",
            &["merge", "-l", "l1", "-l", "l2", "-m", "merge_point"],
            "Merge(Merge { layer: [\"l1\", \"l2\"], merged_point: \"merge_point\" })",
        ),
        (
            "merge with long flags",
            &["merge", "--layer=l1", "-layer", "l2", "-merged-point=m"],
            "Merge(Merge { layer: [\"l1\", \"l2\"], merged_point: \"m\" })",
        ),
        ("unmerge", &["unmerge", "m1"], "Unmerge(Unmerge { point: \"m1\" })"),
        ("move", &["move", "l1"], "Move(Move { name: \"l1\" })"),
        (
            "export, short flags and one dash",
            &["export", "-l", "l1", "-l", "l2", "-dest", "/tmp/simple/layers.tar"],
            "Export(Export { layer: [\"l1\", \"l2\"], dest: \"/tmp/simple/layers.tar\", format: Ovmlayer })",
        ),
        (
            "export, long flags",
            &["export", "--layer=executor", "--dest=amd64-executor.tar"],
            "Export(Export { layer: [\"executor\"], dest: \"amd64-executor.tar\", format: Ovmlayer })",
        ),
        ("import", &["import", "F"], "Import(Import { file: \"F\", format: Ovmlayer })"),
        (
            "import under another name",
            &["import", "--rename", "executor", "/tmp/executor-layer.tar"],
            "Import(Import { file: \"/tmp/executor-layer.tar\", rename: Some(\"executor\"), format: Ovmlayer })",
        ),
        (
            "import to the external store",
            &["import", "--external", "/store", "F"],
            "Import(Import { file: \"F\", format: Ovmlayer, external: Some(\"/store\") })",
        ),
        (
            "cp into a layer",
            &["cp", "--mode", "host2layer", "/tmp/source package", "l1:/tmp"],
            "Cp(Copy { mode: HostToLayer, source: \"/tmp/source package\", destination: \"l1:/tmp\" })",
        ),
        (
            "cp into a merge point",
            &["cp", "--mode", "host2merged", "/tmp/script_x.sh", "m:/tmp"],
            "Cp(Copy { mode: HostToMerged, source: \"/tmp/script_x.sh\", destination: \"m:/tmp\" })",
        ),
        (
            "cp back",
            &["cp", "-mode=layer2host", "l1:/tmp", "."],
            "Cp(Copy { mode: LayerToHost, source: \"l1:/tmp\", destination: \".\" })",
        ),
    ]);
}

#[test]
fn every_run_of_the_contract() {
    const BIND: &str = "type=bind,src=/tmp/example dir,dst=/tmp/example dir,rw,nonrecursive";
    const SOURCE: &str = "type=bind,source=S,dst=/D,nonrecursive";
    let mount = format!("--mount={BIND}");
    let one_word = format!("--mount {BIND}");
    understood(&[
        (
            "oocana",
            &[
                "run",
                "--all-devices",
                &mount,
                "--workdir=/a b",
                "--env",
                "DEBIAN_FRONTEND=noninteractive",
                "--env",
                "K=--V",
                "--env-file=/e",
                "--merged-point=MP",
                "zsh",
                "-i",
                "-c",
                "exit 3",
            ],
            "Run(Run { command: [\"zsh\", \"-i\", \"-c\", \"exit 3\"], merged_point: \"MP\", mount: [Bind { source: \"/tmp/example dir\", target: \"/tmp/example dir\" }], workdir: Some(\"/a b\"), env: [\"DEBIAN_FRONTEND=noninteractive\", \"K=--V\"], env_file: [\"/e\"], all_devices: true, limits: Limits {} })",
        ),
        (
            "the workflows",
            &[
                "run",
                "--workdir=/root",
                "--mount",
                SOURCE,
                "--mount",
                SOURCE,
                "--merged-point",
                "m1",
                "zsh",
                "-i",
                "-c",
                "/root/layer-deps/install-executor.sh",
            ],
            "Run(Run { command: [\"zsh\", \"-i\", \"-c\", \"/root/layer-deps/install-executor.sh\"], merged_point: \"m1\", mount: [Bind { source: \"S\", target: \"/D\" }, Bind { source: \"S\", target: \"/D\" }], workdir: Some(\"/root\"), limits: Limits {} })",
        ),
        (
            "the executors",
            &["run", "--all-devices", "--merged-point=m", "bash", "-c", "-i", "/install-python.sh"],
            "Run(Run { command: [\"bash\", \"-c\", \"-i\", \"/install-python.sh\"], merged_point: \"m\", all_devices: true, limits: Limits {} })",
        ),
        (
            "flags that are the command's own",
            &["run", "--merged-point=m", "echo", "--merged-point=x", "--", "-l", "--help", "--env"],
            "Run(Run { command: [\"echo\", \"--merged-point=x\", \"--\", \"-l\", \"--help\", \"--env\"], merged_point: \"m\", limits: Limits {} })",
        ),
        (
            "one leading `--`",
            &["run", "-merged-point", "m", "--", "--", "-x"],
            "Run(Run { command: [\"--\", \"-x\"], merged_point: \"m\", limits: Limits {} })",
        ),
        (
            "flag and value in one word, and the name that a flag had for a day",
            &["run", &one_word, "--env K=a b", "--all-device", "--merged-point=m", "true"],
            "Run(Run { command: [\"true\"], merged_point: \"m\", mount: [Bind { source: \"/tmp/example dir\", target: \"/tmp/example dir\" }], env: [\"K=a b\"], all_devices: true, limits: Limits {} })",
        ),
        (
            "a value that looks like a flag",
            &["run", "--env", "-merged-point=x", "-workdir", "--env", "-m", "m", "true"],
            "Run(Run { command: [\"true\"], merged_point: \"m\", workdir: Some(\"--env\"), env: [\"-merged-point=x\"], limits: Limits {} })",
        ),
        (
            "limits",
            &["run", "-memory=512m", "--cpus", "1.5", "-pids=64", "--no-network", "-m", "m", "true"],
            "Run(Run { command: [\"true\"], merged_point: \"m\", limits: Limits { memory: Some(536870912), cpus: Some(1.5), pids: Some(64), no_network: true } })",
        ),
        (
            "a command named like a verb",
            &["run", "-m=m", "run", "list"],
            "Run(Run { command: [\"run\", \"list\"], merged_point: \"m\", limits: Limits {} })",
        ),
    ]);
}

#[test]
fn every_setup_of_the_contract() {
    understood(&[
        (
            "studio",
            &["setup", "dev", "--base-rootfs=/root/rootfs.tar", "--layer-disk=/root/tmp_overlay_disk"],
            "Setup(Setup { mode: Some(Dev), base_rootfs: Some(\"/root/rootfs.tar\"), layer_disk: \
             Some(\"/root/tmp_overlay_disk\") })",
        ),
        (
            "production",
            &["setup", "production", "--base-rootfs=/root/rootfs.tar"],
            "Setup(Setup { mode: Some(Production), base_rootfs: Some(\"/root/rootfs.tar\") })",
        ),
        (
            "a folder and a tar",
            &["setup", "-d", "DIR,rw", "--rootfs-tar=TAR", "--rootfs-path=DIR2"],
            "Setup(Setup { dir: [Folder { path: \"DIR\", writable: true }], rootfs_path: Some(\"DIR2\"), \
             rootfs_tar: Some(\"TAR\") })",
        ),
        (
            "a folder, at every start",
            &["setup", "-d", "DIR,rw", "--rootfs-path", "DIR2"],
            "Setup(Setup { dir: [Folder { path: \"DIR\", writable: true }], rootfs_path: Some(\"DIR2\") })",
        ),
        (
            "several folders",
            &["setup", "-d=DIR", "--dir", "A,B,ro", "-rootfs-path", "DIR2"],
            "Setup(Setup { dir: [Folder { path: \"DIR\", writable: true }, Folder { path: \"A,B\" }], rootfs_path: Some(\"DIR2\") })",
        ),
        (
            "two stores",
            &["setup", "--runtime", "R", "--external", "E", "--rootfs-path=P"],
            "Setup(Setup { runtime: Some(\"R\"), external: Some(\"E\"), rootfs_path: Some(\"P\") })",
        ),
        (
            "two stores and a tar",
            &["setup", "--runtime", "R", "--external", "E", "--rootfs-tar", "T", "--rootfs-path", "P"],
            "Setup(Setup { runtime: Some(\"R\"), external: Some(\"E\"), rootfs_path: Some(\"P\"), rootfs_tar: \
             Some(\"T\") })",
        ),
    ]);
}

#[test]
fn wrong_usage_is_told() {
    let table: &[(&str, &[&str], &str)] = &[
        ("a tar without a folder", &["setup", "--runtime", "R", "--rootfs-tar=T"], "--rootfs-path"),
        ("two dialects", &["setup", "dev", "--runtime", "R"], "cannot be used with"),
        ("no folder", &["setup", "-d", ",rw"], "the folder is missing before the comma"),
        ("a flag that is not known", &["merge", "-x", "l1"], "unexpected argument '-x'"),
        ("a misspelt flag", &["run", "--merged-pointt=m", "true"], "a similar argument exists"),
        ("no value", &["merge", "-l"], "a value is required"),
        ("no command", &["run", "--merged-point=m"], "<COMMAND>"),
        ("no layers", &["merge", "-m", "m"], "--layer <NAME>"),
        ("delete nothing", &["delete"], "NAME"),
        ("a mode that is not known", &["cp", "--mode", "host2host", "a", "b"], "host2layer"),
        ("a bad bind", &["run", "--mount", "src=/a,dst=/b,rx", "-m", "m", "x"], "`rx` is not known here"),
        ("a bad name", &["create", "a/b"], "it contains `/` or `:`"),
        ("a part of a byte", &["run", "--memory=1.5g", "-m", "m", "x"], "`1.5` is no whole number"),
        ("no memory", &["run", "--memory=0", "-m", "m", "x"], "more than nothing"),
        ("an unknown unit", &["run", "--memory=1x", "-m", "m", "x"], "`x` is no unit"),
        ("no processor", &["run", "--cpus=0", "-m", "m", "x"], "at least 0.01"),
        ("used and unused", &["list", "layers", "--used", "--unused"], "cannot be used with"),
    ];
    for (summary, words, want) in table {
        let error = parse(words).expect_err(summary);
        assert_eq!(error.exit_code(), 2, "{summary}");
        assert!(error.to_string().contains(want), "{summary}: {error}");
    }
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}
