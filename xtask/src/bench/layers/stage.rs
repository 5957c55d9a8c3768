//! Stores, trees and archives that the contests work on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Random;

use crate::Error;
use crate::bench::timing::quietly;
use crate::step::root;

/// How many files the large tree has, and how many bytes in all.
pub(super) const FILES: usize = 50_000;
pub(super) const BYTES: usize = 1_000_000_000;

/// Everything lies in one scratch folder, on one file system.
#[derive(Debug)]
pub(super) struct Stage {
    program: PathBuf,
    scratch: PathBuf,
}

impl Stage {
    /// Sets a store up on a Debian base root.
    pub(super) fn set(program: PathBuf, rootfs: &Path, scratch: &Path) -> Result<Self, Error> {
        let stage = Self { program, scratch: scratch.to_owned() };
        for name in ["home", "runtime", "external", "rootfs"] {
            make(&stage.path(name))?;
        }
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let mut build = Command::new(rootfs);
        build.args(["build", "base-rootfs", "--distro", "debian", "--arch", architecture, "--out"]);
        quietly(build.arg(&stage.scratch).current_dir(root()))?;
        let mut setup = stage.ours(&["setup", "--runtime"]);
        setup.arg(stage.path("runtime")).arg("--external").arg(stage.path("external"));
        setup.arg("--rootfs-tar").arg(stage.path(&format!("{architecture}-rootfs.tar")));
        quietly(setup.arg("--rootfs-path").arg(stage.rootfs()))?;
        Ok(stage)
    }

    /// Unmounts everything.
    pub(super) fn strike(&self) -> Result<(), Error> {
        quietly(&mut self.ours(&["delete", "--all"]))
    }

    /// Our program with a configuration of its own.
    pub(super) fn ours(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("HOME", self.path("home")).env_remove("OVMLAYER_LOG");
        command
    }

    /// A path in the scratch folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The root beneath all layers.
    pub(super) fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// Where a merge point is mounted.
    pub(super) fn merged(&self, point: &str) -> PathBuf {
        self.path("runtime/merged").join(point)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path("log")
    }

    /// Creates layers `{prefix}0` to `{prefix}{count - 1}` and gives their names.
    pub(super) fn layers(&self, prefix: &str, count: usize) -> Result<Vec<String>, Error> {
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}{number}")).collect();
        names.iter().try_for_each(|name| quietly(&mut self.ours(&["create", name])))?;
        Ok(names)
    }

    /// Writes the large tree into `folder`: sizes from nothing to 40 kB, contents that compress about as well as programs do.
    pub(super) fn large_tree(&self, folder: &Path) -> Result<(), Error> {
        const PER_FOLDER: usize = 100;
        let mut random = Random::new(1);
        let mut contents = vec![0_u8; 2 * BYTES / FILES + 8];
        for number in 0..FILES {
            let folder =
                folder.join(format!("d{:02}/e{}", number / PER_FOLDER % 100, number / PER_FOLDER / 100));
            if number % PER_FOLDER == 0 {
                make(&folder)?;
            }
            // Pairs of files have 40 kB together, so that the sum is exact.
            let length = match number % 2 {
                0 => random.below((2 * BYTES / FILES) as u64) as usize,
                _ => 2 * BYTES / FILES - contents_length(&folder, number)?,
            };
            for chunk in contents[..length.next_multiple_of(8)].chunks_mut(8) {
                // Half of the bits are random.
                chunk.copy_from_slice(&(random.below(u64::MAX) & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes());
            }
            let path = folder.join(format!("f{number}"));
            let written = File::create_new(&path).and_then(|mut file| file.write_all(&contents[..length]));
            written.map_err(Error::io(format!("write {}", path.display())))?;
        }
        Ok(())
    }
}

/// The length of the file before this one.
fn contents_length(folder: &Path, number: usize) -> Result<usize, Error> {
    let path = folder.join(format!("f{}", number - 1));
    let length = fs::metadata(&path).map_err(Error::io(format!("look at {}", path.display())))?.len();
    Ok(usize::try_from(length).unwrap_or(0))
}

/// Makes a folder and those above it.
pub(super) fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))
}
