//! `cargo xtask bench images`: images packed and put together beside buildah and umoci.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use super::contest::{Commands, Contest, Entrant, Outcome, script, table};
use super::timing::quietly;
use super::{build, publish};
use crate::step::{root, step};
use crate::{Error, machine, needs};

/// The section's heading.
const HEADING: &str = "Images";

/// Options of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each program does each thing.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only the situations with this text in their name, such as `gzip` or `flatten`; the section is then printed and not
    /// written.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Folder for trees and images; a fast file system with 25 GB of space that can be an overlay's upper.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Runs all contests and writes their section.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    step("packages the benchmarks need", needs::for_benches)?;
    let program = build("ovmlayer-rootfs")?;
    let mut name = tempfile::Builder::new();
    // buildah takes no path with capitals for an image, and random names have them.
    let prefix = format!("ovmlayer-bench-images-{}", std::process::id());
    name.prefix(&prefix).rand_bytes(0);
    let scratch = match &options.scratch {
        Some(folder) => name.tempdir_in(folder),
        None => name.tempdir(),
    };
    let scratch = scratch.map_err(Error::io("make a scratch folder"))?;
    let stage = Stage { program, folder: scratch.path().to_owned() };
    let layers = stage.set()?;
    let wanted =
        |contest: &Contest| options.only.as_ref().is_none_or(|text| contest.situation.contains(text));
    let mut outcomes = Vec::new();
    for contest in stage.contests(options.runs, layers).iter().filter(|contest| wanted(contest)) {
        outcomes.extend(contest.measure(&stage.folder.join("log"))?);
    }
    publish(HEADING, &section(&outcomes), options.only.is_none())
}

/// The recipes: the layered image, what is made of it, and images of one tree.
const RECIPES: &[(&str, &str)] = &[
    (
        "layered",
        "kind = \"image\"\nfrom = \"oci:server-foundation-dev\"\n[[steps]]\nrun = { script = \"rm -r /usr/share/perl\" }\n\
         [[steps]]\nfiles = [{ path = \"/etc/motd\", content = \"hello\" }]\n",
    ),
    ("flat", "kind = \"rootfs\"\noutput = \"flat.tar\"\nfrom = \"oci:layered\"\n"),
    (
        "gzip",
        "kind = \"image\"\nfrom = \"scratch\"\n[[steps]]\nfiles = [{ path = \"/\", source = \"tree\" }]\n",
    ),
    (
        "zstd",
        "kind = \"image\"\nfrom = \"scratch\"\n[image]\ncompression = \"zstd\"\n[[steps]]\n\
         files = [{ path = \"/\", source = \"tree\" }]\n",
    ),
];

/// The level of zstd that images are compressed with; for gzip all have 6.
const ZSTD_LEVEL: &str = "9";

/// What the programs work on: an image of about twenty layers, and all that is in it as a folder.
struct Stage {
    program: PathBuf,
    folder: PathBuf,
}

impl Stage {
    /// Makes the image and the folder; gives the number of layers.
    fn set(&self) -> Result<usize, Error> {
        let native = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        for (name, text) in RECIPES {
            let head = format!("format = 1\ndescription = \"\"\narchitectures = [\"{native}\"]\n");
            let path = self.folder.join(format!("{name}.toml"));
            fs::write(&path, head + text).map_err(Error::io(format!("write {}", path.display())))?;
        }
        let mut foundation = self.ours("server-foundation-dev");
        quietly(foundation.args(["--distro", "debian", "--arch", native]).current_dir(root()))?;
        quietly(&mut self.ours("layered.toml"))?;
        quietly(&mut self.ours("flat.toml"))?;
        let unpack = "mkdir tree && tar -xf flat.tar -C tree";
        quietly(Command::new("sh").args(["-ec", unpack]).current_dir(&self.folder))?;
        let mut inspect = Command::new("skopeo");
        inspect.args(["inspect", &format!("oci:{}:latest", self.folder.join("layered").display())]);
        let output = inspect.output().map_err(Error::io("start skopeo"))?;
        let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok(facts["Layers"].as_array().map_or(0, Vec::len))
    }

    /// Our program, told to build into the folder.
    fn ours(&self, recipe: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["build", recipe, "--out"]).arg(&self.folder).current_dir(&self.folder);
        command
    }

    fn contests(&self, rounds: usize, layers: usize) -> Vec<Contest> {
        let contest =
            |situation: &str, entrants| Contest { situation: situation.to_owned(), rounds, entrants };
        let copied = "c=$(buildah $s from scratch); buildah $s copy -q $c tree /";
        vec![
            contest(
                "pack a tree with gzip",
                vec![
                    self.our_entrant("gzip.toml", "gzip"),
                    self.entrant("buildah", "buildah-gzip", &format!("{copied}; buildah $s commit -q --disable-compression=false $c oci:$out")),
                    self.entrant(
                        "umoci",
                        "umoci-gzip",
                        "umoci init --layout $out; umoci new --image $out:x; umoci insert --image $out:x tree /",
                    ),
                ],
            ),
            contest(
                "pack a tree with zstd",
                vec![
                    self.our_entrant("zstd.toml", "zstd"),
                    self.entrant(
                        "buildah",
                        "buildah-zstd",
                        &format!(
                            "{copied}; buildah $s commit -q --disable-compression $c x; \
                             buildah $s push -q --compression-format zstd --compression-level {ZSTD_LEVEL} x oci:$out"
                        ),
                    ),
                ],
            ),
            contest(
                &format!("flatten an image of {layers} layers"),
                vec![
                    self.our_entrant("flat.toml", "flat.tar"),
                    self.entrant(
                        "buildah",
                        "buildah.tar",
                        "c=$(buildah $s from oci:layered:latest); m=$(buildah $s mount $c); tar -cf $out -C $m .; \
                         buildah $s umount $c",
                    ),
                    self.entrant(
                        "umoci",
                        "umoci.tar",
                        "umoci unpack --image layered:latest bundle; tar -cf $out -C bundle/rootfs .",
                    ),
                ],
            ),
        ]
    }

    fn our_entrant(&self, recipe: &str, out: &str) -> Entrant {
        let (program, folder, recipe) = (self.program.clone(), self.folder.clone(), recipe.to_owned());
        let timed: Commands = Box::new(move || {
            let stage = Self { program: program.clone(), folder: folder.clone() };
            vec![stage.ours(&recipe)]
        });
        Entrant {
            program: "ovmlayer-rootfs",
            before: self.clear(out),
            timed,
            makes: Some(self.folder.join(out)),
        }
    }

    /// Another program, by a script in which `$out` is what it makes and `$s` gives buildah a storage of its own.
    fn entrant(&self, program: &'static str, out: &str, text: &str) -> Entrant {
        let folder = self.folder.display();
        let storage =
            format!("--storage-driver overlay --root {folder}/storage --runroot {folder}/storage-run");
        let text = format!("cd {folder}; s='{storage}'; out={out}; {text}");
        Entrant { program, before: self.clear(out), timed: script(&text), makes: Some(self.folder.join(out)) }
    }

    /// Removes what an earlier round made.
    fn clear(&self, out: &str) -> Commands {
        script(&format!("cd {}; rm -rf {out} bundle storage storage-run; sync", self.folder.display()))
    }
}

fn section(outcomes: &[Outcome]) -> String {
    let mut page = String::from("Written by `cargo xtask bench images`.\n\n");
    page.push_str(&machine::facts(&[
        ("buildah", &["--version"]),
        ("umoci", &["--version"]),
        ("tar", &["--version"]),
    ]));
    page.push_str(&table(outcomes));
    page.push_str(METHOD);
    page
}

const METHOD: &str = "
### How images are measured

- A time is that of whole processes, from start to end, from an empty place; a first round that fills caches is not counted. The programs take turns, all as root, on the same file system.
- The tree and the image of many layers are `server-foundation-dev` of Debian, with something removed and something changed on top: shells, Python, Node.js and a compiler.
- *pack*: a folder into an image of one layer, in an image layout. gzip has level 6 for all, zstd level 9; umoci knows gzip only. All have as many threads as there are processors.
- *flatten*: the layers of a layout, compressed with gzip, into one tar. buildah and umoci leave a folder, which GNU tar packs.
- Size is that of what was made. Peak memory is the highest sum of the proportional set sizes of all processes of a run, sampled every 20 ms in a run of its own, which is not timed. Page cache is not in it.
";
