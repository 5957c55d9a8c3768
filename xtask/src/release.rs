//! `cargo xtask dist`: the archive of a release for one architecture, the same bytes for the same commit.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::step::{cargo, root, run as run_command, step, target};
use crate::{Error, report};

/// The programs of a release, each the package of that name.
const PROGRAMS: [&str; 3] = ["ovmlayer-rootfs", "ovmlayer", "oocana"];

/// Completions: the shell, and the place of a program's script beneath the archive's folder, where distributions look.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/{}"),
    ("zsh", "share/zsh/site-functions/_{}"),
    ("fish", "share/fish/vendor_completions.d/{}.fish"),
];

/// Where manual pages lie beneath the archive's folder.
const MANUAL: &str = "share/man/man1";

/// What comes along as it is.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// What `cargo xtask dist` takes.
#[derive(Debug, Args)]
pub(crate) struct Dist {
    /// The folder that the archive is written to.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// The architecture [default: this machine's]; another one needs its target of rustup's and a linker.
    #[arg(long, value_enum)]
    arch: Option<Arch>,
    /// The tag of the release, vVERSION: it must be of the version that is built.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Cargo's profile; releases have the default.
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
}

/// An architecture that is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    const NATIVE: Self = if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 };

    const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    const fn triple(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Its number in ELF files.
    const fn machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}

/// The name of the archive, which has no version in it: that is the release's.
pub(crate) fn archive_name(arch: &str) -> String {
    format!("ovmlayer-rootfs-{arch}.tar.gz")
}

/// Builds and packs.
pub(crate) fn run(dist: &Dist) -> Result<(), Error> {
    let arch = dist.arch.unwrap_or(Arch::NATIVE);
    let version = env!("CARGO_PKG_VERSION");
    step("version", || check_tag(dist.tag.as_deref(), version))?;
    let mut programs = Vec::new();
    step("programs", || {
        programs = build(arch, &dist.profile)?;
        programs.iter().try_for_each(|path| program::check(path, arch.machine()))
    })?;
    step("archive", || {
        let work = tempfile::tempdir().map_err(|error| format!("cannot make a working folder: {error}"))?;
        let name = format!("ovmlayer-rootfs-{version}");
        fill(&work.path().join(&name), &programs, arch)?;
        fs::create_dir_all(&dist.out)
            .map_err(|error| format!("cannot create {}: {error}", dist.out.display()))?;
        let archive = dist.out.join(archive_name(arch.name()));
        pack(work.path(), &name, &archive)?;
        report::line(&format!("wrote {}", archive.display()));
        Ok(())
    })
}

/// A release must not be called what its programs do not call themselves.
fn check_tag(tag: Option<&str>, version: &str) -> Result<(), String> {
    match tag {
        Some(tag) if tag.strip_prefix('v') != Some(version) => Err(format!(
            "the tag is `{tag}`, and the programs have version {version}: set `version` in Cargo.toml, or tag v{version}"
        )),
        _ => Ok(()),
    }
}

fn build(arch: Arch, profile: &str) -> Result<Vec<PathBuf>, String> {
    let mut command = cargo(&["build", "--locked", "--profile", profile, "--target", arch.triple()]);
    command.args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    run_command(&mut command)?;
    // Cargo keeps `dev` where it kept it before there were profiles.
    let folder = if profile == "dev" { "debug" } else { profile };
    let folder = target().join(arch.triple()).join(folder);
    Ok(PROGRAMS.iter().map(|program| folder.join(program)).collect())
}

/// Puts everything into `folder`.
fn fill(folder: &Path, programs: &[PathBuf], arch: Arch) -> Result<(), String> {
    let manual = folder.join(MANUAL);
    for path in [&folder.join("bin"), &manual] {
        fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    }
    for name in DOCUMENTS {
        copy(&root().join(name), &folder.join(name))?;
    }
    for (path, name) in programs.iter().zip(PROGRAMS) {
        copy(path, &folder.join("bin").join(name))?;
        run_command(program::runnable(path, arch == Arch::NATIVE)?.arg("manual").arg(&manual))?;
        for (shell, place) in SHELLS {
            let mut command = program::runnable(path, arch == Arch::NATIVE)?;
            let output = command.args(["completions", shell]).output();
            let output = output.map_err(|error| format!("cannot start {}: {error}", path.display()))?;
            if !output.status.success() {
                return Err(format!("{name} gives no completions for {shell}: {}", output.status));
            }
            write(&folder.join(place.replace("{}", name)), &output.stdout)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Packs the folder `name` in `work` with nothing of this machine in it: sorted, owned by root, at the time of the commit.
fn pack(work: &Path, name: &str, archive: &Path) -> Result<(), String> {
    let temporary = archive.with_extension("tmp");
    run_command(
        Command::new("tar")
            .args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .args(["--mode=u=rwX,go=rX", "--use-compress-program=gzip -9 --no-name"])
            .arg(format!("--mtime=@{}", epoch()?))
            .arg("--directory")
            .arg(work)
            .arg("--file")
            .arg(&temporary)
            .arg(name),
    )?;
    fs::rename(&temporary, archive).map_err(|error| format!("cannot write {}: {error}", archive.display()))
}

/// `SOURCE_DATE_EPOCH`, else the time of the commit that is built.
fn epoch() -> Result<String, String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let output = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()).output();
    let time = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match time {
        Ok(time) if !time.is_empty() => Ok(time),
        _ => Err("there is no commit to take the time from: set SOURCE_DATE_EPOCH".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_the_version_that_is_built() {
        assert!(check_tag(None, "1.2.0").is_ok());
        assert!(check_tag(Some("v1.2.0"), "1.2.0").is_ok());
        for tag in ["v1.2.1", "1.2.0", "v1.2.0-rc.1", ""] {
            let message = check_tag(Some(tag), "1.2.0").unwrap_err();
            assert!(message.contains("tag v1.2.0"), "{message}");
        }
    }

    #[test]
    fn the_same_folder_gives_the_same_archive() {
        let pack_once = |umask: u32| {
            let work = tempfile::tempdir().unwrap();
            write(&work.path().join("x/b/two"), b"2").unwrap();
            write(&work.path().join("x/a"), b"1").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666 & !umask);
            fs::set_permissions(work.path().join("x/a"), mode).unwrap();
            let archive = work.path().join("x.tar.gz");
            pack(work.path(), "x", &archive).unwrap();
            fs::read(archive).unwrap()
        };
        assert_eq!(pack_once(0o022), pack_once(0o077));
    }
}
