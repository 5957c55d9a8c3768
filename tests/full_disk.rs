//! A full disk, wherever it is, ends a build with a message that names the folder and the option that chooses another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Program, run, tool};

const RECIPE: &str = "format = 1
kind = \"rootfs\"
description = \"a build that finds no space\"
architectures = [\"ARCH\"]
output = \"large.tar\"
variant = \"essential\"
distro = \"debian\"
";

/// A step that needs more than any small disk has.
const GREEDY: &str = "
[[steps]]
run = { script = \"head -c 512M /dev/zero > /large\" }
";

/// A disk of a few MiB, in memory.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn new(mebibytes: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("ovmlayer-disk").tempdir().expect("a folder");
        let size = format!("size={mebibytes}m,mode=0755");
        run(Command::new(tool("mount")).args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()));
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The folder below it can go only after it.
        let _ = testkit::output(Command::new(tool("umount")).arg(self.path()));
    }
}

fn program() -> Program<'static> {
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs")).shared_cache();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    program.write("plain.toml", RECIPE.replace("ARCH", arch));
    program.write("greedy.toml", RECIPE.replace("ARCH", arch) + GREEDY);
    program
}

/// Every name in `folder`, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// The program fails for `recipe` with these options, says `words` in one line, and leaves nothing in `out`.
fn fails(program: &Program<'_>, recipe: &str, options: &[&str], out: &Path, words: &[&str]) {
    let errors = program.fail(["build", recipe].iter().chain(options));
    let line = errors.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    for word in words {
        assert!(line.contains(word), "`{word}` is not in the message:\n{errors}");
    }
    assert_eq!(names(out), Vec::<String>::new(), "the output folder after:\n{errors}");
}

#[test]
fn the_cache() {
    let disk = SmallDisk::new(8);
    let program = program();
    let cache = disk.folder("cache");
    let cache = cache.to_string_lossy();
    let options = ["--cache-dir", &cache];
    fails(&program, "plain.toml", &options, &program.dist(), &["no space left", &cache, "`--cache-dir`"]);
}

#[test]
fn the_output_folder() {
    let disk = SmallDisk::new(8);
    let program = program();
    let out = disk.folder("out");
    let options = ["--out", &out.to_string_lossy()];
    let words = ["no space left", &out.to_string_lossy(), "`--out`"];
    fails(&program, "plain.toml", &options, &out, &words);
}

#[test]
fn the_build_folder() {
    let disk = SmallDisk::new(8);
    let program = program();
    let build = disk.folder("build");
    let options = ["--build-dir", &build.to_string_lossy()];
    let words = ["no space left", &build.to_string_lossy(), "`--build-dir`"];
    fails(&program, "plain.toml", &options, &program.dist(), &words);
    assert_eq!(names(&build), Vec::<String>::new(), "the build folder is left as it was");
}

#[test]
fn the_build_folder_while_a_program_of_the_root_runs() {
    let disk = SmallDisk::new(512);
    let program = program();
    let build = disk.folder("build");
    let options = ["--build-dir", &build.to_string_lossy()];
    let words = ["no space left", &build.to_string_lossy(), "`--build-dir`"];
    fails(&program, "greedy.toml", &options, &program.dist(), &words);
    assert_eq!(names(&build), Vec::<String>::new(), "the build folder is left as it was");
}
