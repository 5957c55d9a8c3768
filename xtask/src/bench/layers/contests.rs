//! What is measured, and how each program is told to do it.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::stage::{Stage, make};
use crate::Error;
use crate::bench::contest::{Commands, Contest, Entrant, Outcome, nothing, words};
use crate::bench::timing::quietly;

/// Depths of stacks, the rootfs not counted; with it the last one reaches the kernel's limit of 500 lower layers.
const DEPTHS: [usize; 4] = [1, 10, 100, 500];

/// Sets up and measures the contests with `only` in their name, one after the other.
pub(super) fn all(
    stage: &Stage,
    runs: usize,
    only: Option<&str>,
    mut measure: impl FnMut(Contest) -> Result<Vec<Outcome>, Error>,
) -> Result<Vec<Outcome>, Error> {
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text));
    // What takes seconds is done a tenth as often, and three times at least.
    let few = (runs / 10).max(3);
    let mut outcomes = Vec::new();
    if wanted("run") {
        outcomes.extend(measure(run_true(stage, runs)?)?);
    }
    if wanted("merge") {
        let names = stage.layers("deep", DEPTHS[DEPTHS.len() - 1])?;
        for depth in DEPTHS {
            outcomes.extend(measure(merge(stage, runs, &names[..depth]))?);
        }
    }
    if wanted("export") || wanted("import") {
        set_large_tree(stage)?;
        outcomes.extend(measure(export(stage, few)?)?);
        outcomes.extend(measure(import(stage, few))?);
    }
    if wanted("list") {
        stage.layers("many", 10_000)?;
        outcomes.extend(measure(list(stage, runs))?);
    }
    Ok(outcomes)
}

/// One of our verbs after the other.
fn ours(stage: &Stage, verbs: Vec<Vec<String>>) -> Commands {
    let (home, program) = (stage.path("home"), PathBuf::from(stage.ours(&[]).get_program()));
    Box::new(move || {
        let command = |arguments: &Vec<String>| {
            let mut command = Command::new(&program);
            command.args(arguments).env("HOME", &home).env_remove("OVMLAYER_LOG");
            command
        };
        verbs.iter().map(command).collect()
    })
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// All programs run in the same merged root.
fn run_true(stage: &Stage, rounds: usize) -> Result<Contest, Error> {
    let point = "bench-run";
    let names = stage.layers("run", 3)?;
    let layers = names.iter().flat_map(|name| ["-l", name]);
    let merge: Vec<&str> = std::iter::once("merge").chain(layers).chain(["-m", point]).collect();
    quietly(&mut stage.ours(&merge))?;
    let merged = text(&stage.merged(point));
    let bundle = bundle(stage, &merged)?;
    let merged_point = format!("--merged-point={point}");
    Ok(Contest {
        situation: "run `true` in 3 layers".to_owned(),
        rounds,
        entrants: vec![
            Entrant {
                program: "ovmlayer",
                before: nothing(),
                timed: ours(stage, vec![strings(&["run", "--all-devices", &merged_point, "true"])]),
                makes: None,
            },
            Entrant {
                program: "bubblewrap",
                before: nothing(),
                timed: words(
                    "bwrap",
                    &[
                        "--unshare-pid",
                        "--die-with-parent",
                        "--bind",
                        &merged,
                        "/",
                        "--dev",
                        "/dev",
                        "--proc",
                        "/proc",
                        "true",
                    ],
                ),
                makes: None,
            },
            Entrant {
                program: "unshare and chroot",
                before: nothing(),
                timed: words("unshare", &["--mount", "--pid", "--fork", "chroot", &merged, "true"]),
                makes: None,
            },
            Entrant {
                program: "runc",
                before: nothing(),
                timed: words("runc", &["run", "--bundle", &bundle, "bench-run"]),
                makes: None,
            },
        ],
    })
}

/// A bundle for runc, with the namespaces and mounts that `ovmlayer run` has too.
fn bundle(stage: &Stage, merged: &str) -> Result<String, Error> {
    let folder = stage.path("bundle");
    make(&folder)?;
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
        },
        "root": { "path": merged },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
        ],
        "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }] },
    });
    let path = folder.join("config.json");
    fs::write(&path, config.to_string()).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(text(&folder))
}

fn merge(stage: &Stage, rounds: usize, names: &[String]) -> Contest {
    let point = "bench-merge";
    let mut merge = strings(&["merge"]);
    for name in names {
        merge.extend(["-l".to_owned(), name.clone()]);
    }
    merge.extend(strings(&["-m", point]));
    Contest {
        situation: format!("merge and unmerge, {} layers", names.len()),
        rounds,
        entrants: vec![Entrant {
            program: "ovmlayer",
            before: nothing(),
            timed: ours(stage, vec![merge, strings(&["unmerge", point])]),
            makes: None,
        }],
    }
}

/// The large tree as a layer `large`, in a folder `large`, in a container of buildah and in a bundle of umoci.
fn set_large_tree(stage: &Stage) -> Result<(), Error> {
    let large = stage.path("large");
    make(&large)?;
    stage.large_tree(&large)?;
    quietly(&mut stage.ours(&["create", "large"]))?;
    let mut copy = stage.ours(&["cp", "--mode", "host2layer"]);
    quietly(copy.arg(&large).arg("large:/"))
}

fn export(stage: &Stage, rounds: usize) -> Result<Contest, Error> {
    let large = text(&stage.path("large"));
    let (archive, tar) = (text(&stage.path("large.ovm.tar")), text(&stage.path("large.gnu.tar")));
    let container = buildah_container(stage)?;
    let (image, umoci) = (format!("oci:{}:large", text(&stage.path("buildah-image"))), umoci_bundle(stage)?);
    let storage = buildah_storage(stage, "storage");
    let commit: Vec<&str> = storage.iter().map(String::as_str).collect();
    let commit = [&commit[..], &["commit", "--quiet", "--disable-compression", &container, &image]].concat();
    let repacked = format!("{}:large", text(&stage.path("umoci-image")));
    Ok(Contest {
        situation: "export 1 GB in 50,000 files".to_owned(),
        rounds,
        entrants: vec![
            Entrant {
                program: "ovmlayer",
                before: words("sync", &[]),
                timed: ours(stage, vec![strings(&["export", "-l", "large", "-dest", &archive])]),
                makes: None,
            },
            Entrant {
                program: "GNU tar",
                before: words("sync", &[]),
                timed: words("tar", &["--create", "--xattrs", "--file", &tar, "--directory", &large, "."]),
                makes: None,
            },
            Entrant {
                program: "buildah commit",
                before: words("sync", &[]),
                timed: words("buildah", &commit),
                makes: None,
            },
            Entrant {
                program: "umoci repack (gzip)",
                before: words("sync", &[]),
                timed: words("umoci", &["repack", "--image", &repacked, &umoci]),
                makes: None,
            },
        ],
    })
}

/// Runs after [`export`], whose archives it reads. Every round has a new target: the file system avoids the inodes of 50,000
/// files that were just removed, and would slow down whoever comes next.
fn import(stage: &Stage, rounds: usize) -> Contest {
    let (archive, tar) = (text(&stage.path("large.ovm.tar")), text(&stage.path("large.gnu.tar")));
    let (program, home) = (text(Path::new(stage.ours(&[]).get_program())), text(&stage.path("home")));
    let target = |name: &str| format!("{}-{ROUND}", text(&stage.path(name)));
    let (plain, synced, pulled) = (target("unpacked"), target("unpacked-synced"), target("pulled"));
    let extract = |folder: &str| {
        format!(
            "mkdir '{folder}' && tar --extract --xattrs --same-owner --file '{tar}' --directory '{folder}'"
        )
    };
    let layout = format!("oci:{}:large", text(&stage.path("buildah-image")));
    let image = format!("{}:large", text(&stage.path("umoci-image")));
    let storage = format!("--storage-driver overlay --root '{pulled}' --runroot '{pulled}-run'");
    let entrant = |program, script: String| Entrant {
        program,
        before: words("sync", &[]),
        timed: in_rounds(script),
        makes: None,
    };
    Contest {
        situation: "import 1 GB in 50,000 files".to_owned(),
        rounds,
        entrants: vec![
            entrant(
                "ovmlayer",
                format!("HOME='{home}' exec '{program}' import --rename large-{ROUND} '{archive}'"),
            ),
            entrant("GNU tar, then sync", format!("{} && sync --file-system '{synced}'", extract(&synced))),
            entrant("GNU tar", extract(&plain)),
            entrant("buildah pull", format!("exec buildah {storage} pull --quiet {layout}")),
            entrant(
                "umoci unpack (gzip)",
                format!("exec umoci unpack --image {image} '{}'", target("umoci-unpacked")),
            ),
        ],
    }
}

/// Stands for the number of the round in a script.
const ROUND: &str = "@ROUND@";

/// A script for the shell, with the number of its round.
fn in_rounds(script: String) -> Commands {
    let round = Cell::new(0);
    Box::new(move || {
        let number = round.replace(round.get() + 1);
        let mut command = Command::new("sh");
        command.args(["-c", &script.replace(ROUND, &number.to_string())]);
        vec![command]
    })
}

fn list(stage: &Stage, rounds: usize) -> Contest {
    Contest {
        situation: "list 10,000 layers".to_owned(),
        rounds,
        entrants: vec![Entrant {
            program: "ovmlayer",
            before: nothing(),
            timed: ours(stage, vec![strings(&["list", "layers"])]),
            makes: None,
        }],
    }
}

/// Options that give buildah a storage of its own.
fn buildah_storage(stage: &Stage, name: &str) -> Vec<String> {
    let folder = stage.path("buildah");
    let run = text(&folder.join(format!("{name}-run")));
    ["--storage-driver", "overlay", "--root", &text(&folder.join(name)), "--runroot", &run]
        .map(str::to_owned)
        .to_vec()
}

/// A container that holds the large tree and nothing else; gives its name.
fn buildah_container(stage: &Stage) -> Result<String, Error> {
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(buildah_storage(stage, "storage")).args(arguments);
        command
    };
    quietly(&mut buildah(&["from", "--name", "large", "scratch"]))?;
    quietly(buildah(&["copy", "--quiet", "large"]).arg(stage.path("large")).arg("/"))?;
    Ok("large".to_owned())
}

/// A bundle of an empty image with the large tree put in; gives its path.
fn umoci_bundle(stage: &Stage) -> Result<String, Error> {
    let (image, bundle) = (text(&stage.path("umoci-image")), text(&stage.path("umoci-bundle")));
    let empty = format!("{image}:empty");
    quietly(Command::new("umoci").args(["init", "--layout", &image]))?;
    quietly(Command::new("umoci").args(["new", "--image", &empty]))?;
    quietly(Command::new("umoci").args(["unpack", "--image", &empty, &bundle]))?;
    let rootfs = format!("{bundle}/rootfs/");
    quietly(Command::new("cp").arg("-a").arg(stage.path("large")).arg(rootfs))?;
    Ok(bundle)
}
