//! Where package layers are made: stores of their own, of which nothing may be left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::{base_rootfs, our_program, tool};

use crate::stage::Stage;

/// A stage with `ovmlayer` in PATH, set up over the base root filesystem.
pub(super) struct Place {
    pub(super) stage: Stage,
}

/// What a package in a test has: a file, a hidden one, and one in a folder.
const FILES: [(&str, &str); 3] = [("file", "source\n"), (".hidden", "hidden\n"), ("deep/file", "deep\n")];

impl Place {
    pub(super) fn new() -> Self {
        let programs = our_program("ovmlayer");
        let stage = Stage::with_programs(programs.parent().expect("a folder"));
        for name in ["runtime", "external"] {
            fs::create_dir(stage.path().join(name)).expect("a folder");
        }
        let place = Self { stage };
        let (runtime, external) = (place.path("runtime"), place.path("external"));
        place.ovmlayer(&[
            "setup",
            "--runtime",
            text(&runtime),
            "--external",
            text(&external),
            "--rootfs-path",
            text(&base_rootfs().folder),
        ]);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.stage.path().join(name)
    }

    /// A package with a few files and the rest of its manifest.
    pub(super) fn package(&self, name: &str, manifest: &str) -> PathBuf {
        for (file, content) in FILES {
            self.stage.write(&format!("{name}/{file}"), content);
        }
        let manifest = self.stage.write(&format!("{name}/package.oo.yaml"), manifest);
        manifest.parent().expect("a folder").to_owned()
    }

    /// Runs `ovmlayer`, which must succeed.
    pub(super) fn ovmlayer(&self, words: &[&str]) -> String {
        let mut command = Command::new(our_program("ovmlayer"));
        command.env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin").args(words);
        String::from_utf8_lossy(&testkit::run(&mut command)).into_owned()
    }

    /// Runs `oocana package-layer`, whatever comes of it.
    pub(super) fn try_layer(&self, words: &[&str]) -> Output {
        self.stage.bounded(&[&["package-layer"], words].concat()).output().expect("the program starts")
    }

    /// The same, which must succeed, and gives its stdout.
    pub(super) fn layer(&self, words: &[&str]) -> String {
        let output = self.try_layer(words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same, which must end with 1, and gives its stderr.
    pub(super) fn refused(&self, words: &[&str]) -> String {
        let output = self.try_layer(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(super) fn layers(&self) -> Vec<String> {
        self.ovmlayer(&["list", "layers"]).lines().map(str::to_owned).collect()
    }

    /// Nothing that is not finished is left: neither merge points nor notes of them.
    pub(super) fn is_clean(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let own = |line: &&str| line.contains(text(self.stage.path()));
        assert_eq!(mounts.lines().find(own), None);
        let claims = fs::read_dir(self.path("home/.oocana/layer-claims")).into_iter().flatten().flatten();
        let mut names = claims.map(|entry| entry.file_name().to_string_lossy().into_owned());
        assert_eq!(names.find(|name| name.ends_with(".claim")), None);
    }

    /// What a script prints in the layers of a package, the lowest first.
    pub(super) fn inside(&self, layers: &[&str], script: &str) -> String {
        let mut words = vec!["merge"];
        layers.iter().for_each(|layer| words.extend(["-l", layer]));
        words.extend(["-m", "look"]);
        self.ovmlayer(&words);
        let printed = self.ovmlayer(&["run", "--merged-point=look", "sh", "-c", script]);
        self.ovmlayer(&["unmerge", "look"]);
        printed
    }

    /// What is noted of a package.
    pub(super) fn noted(&self, package: &Path) -> serde_json::Value {
        let path = self.path("home/.oomol-studio/oocana/package_store.json");
        let store: serde_json::Value =
            serde_json::from_slice(&fs::read(path).expect("the store")).expect("JSON");
        store["packages"][text(package)].clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What a test of failures has left mounted would keep the folder from being removed.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in ours.filter(|mount| Path::new(mount).starts_with(self.stage.path())) {
            let _ = testkit::output(Command::new(tool("umount")).arg("--lazy").arg(mount));
        }
    }
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}
