//! Carries out the steps of a recipe that come after its packages.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rootfs::Scripts;
use sandbox::Network;
use tree::{Entry, EntryPath, Kind, Metadata, Root};

use crate::Error;
use crate::files::{self, Contents, chain};
use crate::format::{FileStep, RunStep, Step, UserStep};

/// The root that steps change.
pub(crate) struct Stage<'a> {
    /// The recipe's name, for messages.
    pub(crate) recipe: &'a str,
    /// The folder that relative paths of the recipe start from.
    pub(crate) folder: &'a Path,
    pub(crate) root: &'a Root,
    pub(crate) scripts: &'a Scripts,
    /// The modification time of new files, in seconds.
    pub(crate) epoch: i64,
    /// Set from outside to stop.
    pub(crate) interrupted: &'a AtomicBool,
    /// What the environment of programs has before any `env` step.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// The entries that `files` steps put there.
    pub(crate) put: RefCell<HashSet<EntryPath>>,
}

impl Stage<'_> {
    /// Carries out `steps` in order. When all that follow one another and are of one kind are done, `after` is told the kind.
    pub(crate) fn carry_out(
        &self,
        steps: &[Step],
        mut after: impl FnMut(&'static str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut env: BTreeMap<String, String> = self.env.iter().map(owned).collect();
        let mut doing = None;
        for (index, step) in steps.iter().enumerate() {
            let number = index + 1;
            let kind = match step {
                // Those of layers are carried out from their lock.
                Step::Packages(_) | Step::Slim(_) | Step::Python(_) | Step::Node(_) => continue,
                Step::Env(variables) => {
                    env.extend(variables.clone());
                    continue;
                }
                Step::Files(_) => "files",
                Step::Run(_) => "run",
                Step::Users(_) => "users",
            };
            if let Some(before) = doing.replace(kind)
                && before != kind
            {
                after(before)?;
            }
            self.step(step, &env).map_err(|message| Error::Step {
                recipe: self.recipe.to_owned(),
                number,
                kind,
                message,
            })?;
        }
        doing.map_or(Ok(()), after)
    }

    fn step(&self, step: &Step, env: &BTreeMap<String, String>) -> Result<(), String> {
        let done = match step {
            Step::Files(files) => return files.iter().try_for_each(|file| self.file(file)),
            Step::Run(run) => self.run(run, env),
            Step::Users(users) => users.iter().try_for_each(|user| self.user(user)),
            Step::Packages(_) | Step::Slim(_) | Step::Env(_) | Step::Python(_) | Step::Node(_) => Ok(()),
        };
        // Programs may have put other folders in the place of those that are held open.
        self.root.forget_parents();
        done
    }

    fn file(&self, file: &FileStep) -> Result<(), String> {
        files::entries(file, self.folder, self.epoch, |entry, contents| {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err("interrupted".to_owned());
            }
            self.put(&entry, contents).map_err(chain)
        })
    }

    /// Puts one entry into the root, in the place of what is there; a folder that is there stays, with what is in it.
    fn put(&self, entry: &Entry, contents: Contents<'_>) -> Result<(), tree::Error> {
        let Entry { path, kind, metadata } = entry;
        self.put.borrow_mut().insert(path.clone());
        self.root.make_parents(path, &Metadata::new(0o755, self.epoch))?;
        if self.root.lstat(path)?.is_some_and(|there| there.kind != Kind::Directory) {
            self.root.remove_file(path)?;
        }
        match (kind, contents) {
            (Kind::Directory, _) => self.root.make_dir(path, metadata).map(drop),
            (Kind::Symlink { target }, _) => self.root.symlink(path, target, metadata),
            (Kind::HardLink { target }, _) => self.root.hard_link(path, target),
            (_, Contents::Text(text)) => self.root.write_file(path, metadata, &mut &*text).map(drop),
            (_, Contents::File(file)) => self.root.copy_file(path, metadata, &file).map(drop),
            (_, Contents::None) => Ok(()),
        }
    }

    fn run(&self, run: &RunStep, env: &BTreeMap<String, String>) -> Result<(), String> {
        let network = if run.network { Network::Host } else { Network::None };
        let env: Vec<(&str, &str)> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.scripts.run("the script", &["/bin/sh", "-e", "-c", &run.script], &env, network).map_err(chain)
    }

    fn user(&self, user: &UserStep) -> Result<(), String> {
        let useradd = EntryPath::parse(USERADD.as_bytes()).map_err(chain)?;
        if matches!(self.root.lstat(&useradd), Ok(None)) {
            return Err("it needs the package `passwd`: name it in a `packages` step before".to_owned());
        }
        let home = user.home.clone().unwrap_or_else(|| format!("/home/{}", user.name));
        let shell = user.shell.as_deref().unwrap_or("/bin/sh");
        let uid = user.uid.to_string();
        let useradd = format!("/{USERADD}");
        let argv = [
            useradd.as_str(),
            "--create-home",
            "--user-group",
            "--uid",
            &uid,
            "--home-dir",
            &home,
            "--shell",
            shell,
            &user.name,
        ];
        self.scripts.run(&format!("useradd for `{}`", user.name), &argv, &[], Network::None).map_err(chain)
    }
}

/// What makes users, in the root.
const USERADD: &str = "usr/sbin/useradd";

/// The paths that the `slim` steps leave out.
#[derive(Debug)]
pub(crate) struct Slim(GlobSet);

impl Slim {
    /// Compiles the globs of all `slim` steps.
    pub(crate) fn new(recipe: &str, steps: &[Step]) -> Result<Self, Error> {
        let mut globs = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let Step::Slim(these) = step else { continue };
            globs.extend(these.iter().map(|glob| (index + 1, glob.as_str())));
        }
        Self::compile(recipe, "slim", &globs)
    }

    /// The same of globs that stand elsewhere in a recipe; `key` says where.
    pub(crate) fn of_globs(recipe: &str, key: &'static str, globs: &[String]) -> Result<Self, Error> {
        let globs: Vec<(usize, &str)> = globs.iter().map(|glob| (0, glob.as_str())).collect();
        Self::compile(recipe, key, &globs)
    }

    /// Compiles globs, each with the number of its step.
    fn compile(recipe: &str, kind: &'static str, globs: &[(usize, &str)]) -> Result<Self, Error> {
        let mut builder = GlobSetBuilder::new();
        let wrong = |number: usize| {
            move |error: globset::Error| Error::Step {
                recipe: recipe.to_owned(),
                number,
                kind,
                message: error.to_string(),
            }
        };
        for (number, glob) in globs {
            let relative = glob.trim_start_matches('/');
            let glob = GlobBuilder::new(relative).literal_separator(true).build();
            builder.add(glob.map_err(wrong(*number))?);
        }
        Ok(Self(builder.build().map_err(wrong(0))?))
    }

    /// Whether `path` is left out: it or a directory above it matches.
    pub(crate) fn leaves_out(&self, path: &EntryPath) -> bool {
        if self.0.is_empty() || path.is_root() {
            return false;
        }
        let name = String::from_utf8_lossy(path.as_bytes());
        self.0.is_match(Path::new(name.as_ref()))
            || path.parent().is_some_and(|parent| self.leaves_out(&parent))
    }
}

impl Slim {
    /// Removes from `root` what is left out.
    pub(crate) fn take_away(&self, root: &Root) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut left_out = Vec::new();
        let mut scan = root.scan();
        while let Some(entry) = scan.next() {
            let path = entry?.path;
            if self.leaves_out(&path) {
                scan.leave_out();
                left_out.push(path);
            }
        }
        drop(scan);
        for path in left_out {
            root.remove_all(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slim_leaves_out_what_matches_and_what_is_below() {
        let steps = [Step::Slim(vec!["/usr/share/doc/*".into(), "**/*.pyc".into()])];
        let slim = Slim::new("r", &steps).expect("globs");
        let cases = [
            ("usr/share/doc", false),
            ("usr/share/doc/zsh", true),
            ("usr/share/doc/zsh/copyright", true),
            ("usr/lib/a.pyc", true),
            ("usr/lib/a.py", false),
        ];
        for (path, expected) in cases {
            assert_eq!(
                slim.leaves_out(&EntryPath::parse(path.as_bytes()).expect("a path")),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn a_bad_glob_names_its_step() {
        let error =
            Slim::new("r", &[Step::Env(BTreeMap::new()), Step::Slim(vec!["[".into()])]).expect_err("refused");
        assert!(error.to_string().starts_with("step 2 of recipe `r` (slim)"), "{error}");
    }
}
