//! Where recipes are found: by path, then in `./recipes`, then among those built into the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::carried::{BUILT_IN, BUILT_IN_FILES};
use crate::format::{Form, Kind, PARENT};
use crate::{Error, Recipe};

/// The folder of the user's own recipes.
const FOLDER: &str = "recipes";

/// The size in bytes above which a file is not read as a recipe.
const MAX_SIZE: u64 = 1 << 20;

/// The size in bytes above which no file is read that a recipe names.
const MAX_FILE: u64 = 64 << 20;

/// How many recipes may be made of each other.
const MAX_DEPTH: usize = 8;

/// A recipe and where it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name: the file's, without `.toml`.
    pub name: String,
    /// Its file; none for one that is built into the program.
    pub path: Option<PathBuf>,
    /// What it says.
    pub recipe: Recipe,
    /// The recipe of what a layer is put on, unless that is an image.
    pub parent: Option<Box<Found>>,
}

impl Found {
    /// What the command line calls it: its path, unless it is found by its name.
    #[must_use]
    pub fn called(&self) -> String {
        match &self.path {
            Some(path) if path.parent() != Some(Path::new(FOLDER)) => path.display().to_string(),
            _ => self.name.clone(),
        }
    }

    /// The name of what is built; of a root filesystem, with `{arch}` for the architecture.
    #[must_use]
    pub fn artifact(&self) -> &str {
        if self.recipe.output.is_empty() { &self.name } else { &self.recipe.output }
    }

    /// The image that it is made from or put on, if it is one.
    #[must_use]
    pub fn image(&self) -> Option<&String> {
        let of_parent = || self.parent.as_ref().and_then(|parent| parent.recipe.from.as_ref());
        self.recipe.from.as_ref().or_else(of_parent)
    }

    /// The text of a file that the recipe names, and what messages call it.
    pub(crate) fn read(&self, path: &Path) -> Result<(String, String), Error> {
        if self.path.is_none()
            && let Some((name, text)) = BUILT_IN_FILES.iter().find(|(name, _)| Path::new(name) == path)
        {
            return Ok(((*name).to_owned(), (*text).to_owned()));
        }
        let path = self.folder().join(path);
        let text = crate::output::read_text(&path, MAX_FILE)?;
        text.map(|text| (path.display().to_string(), text)).ok_or(Error::NoFile { path })
    }

    /// The files in `folder`, which the recipe names, that `names` in there stand for, by their paths there: a folder stands
    /// for all that is in it.
    pub(crate) fn files(&self, folder: &Path, names: &[String]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let mut files = BTreeMap::new();
        for name in names {
            let before = files.len();
            if self.path.is_none() {
                let prefix = format!("{}/", folder.display());
                let inside = |path: &str| path.strip_prefix(&prefix).map(str::to_owned);
                let beneath = |path: &String| Path::new(path).starts_with(name);
                let carried = BUILT_IN_FILES.iter().filter_map(|(path, text)| Some((inside(path)?, text)));
                let carried = carried.filter(|(path, _)| beneath(path));
                files.extend(carried.map(|(path, text)| (path, text.as_bytes().to_vec())));
            } else {
                read_all(&self.folder().join(folder), Path::new(name), &mut files)?;
            }
            if files.len() == before {
                return Err(Error::NoFile { path: folder.join(name) });
            }
        }
        Ok(files)
    }

    /// The form of the image that is built, if it is one.
    #[must_use]
    pub fn image_form(&self) -> Option<Form> {
        (self.recipe.kind == Kind::Image).then(|| Form::of(self.artifact()))
    }

    /// The folder that relative paths in the recipe start from.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.path.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    }

    /// What another recipe is called that this one names, as the command line would: a path is relative to this recipe.
    pub(crate) fn named_here(&self, name: &str) -> String {
        let is_path = name.contains('/') || name.ends_with(".toml");
        if is_path { self.folder().join(name).display().to_string() } else { name.to_owned() }
    }

    /// Where the lock that pins the recipe is, or would be.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        let beside = self.path.as_ref().map(|path| path.with_extension("lock"));
        beside.unwrap_or_else(|| Path::new(FOLDER).join(format!("{}.lock", self.name)))
    }
}

/// Finds the recipe that a user calls `name`.
///
/// # Errors
/// [`Error::NoRecipe`] with the names there are, or what is wrong with the recipe.
pub fn find(name: &str) -> Result<Found, Error> {
    find_at(name, 0)
}

fn find_at(name: &str, depth: usize) -> Result<Found, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::RecipeDepth { name: name.to_owned() });
    }
    if name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        let path = PathBuf::from(name);
        return load(&path, depth)?.ok_or_else(|| no_recipe(name));
    }
    if let Some(found) = load(&Path::new(FOLDER).join(format!("{name}.toml")), depth)? {
        return Ok(found);
    }
    let built_in = BUILT_IN.iter().find(|(known, _)| *known == name).ok_or_else(|| no_recipe(name))?;
    built_in_recipe(built_in, depth)
}

/// Every recipe that can be built by name, in order; one in `./recipes` hides the built-in one of the same name.
///
/// # Errors
/// What is wrong with a recipe, or with the folder.
pub fn list() -> Result<Vec<Found>, Error> {
    let mut found: Vec<Found> = Vec::new();
    if let Ok(folder) = std::fs::read_dir(FOLDER) {
        for entry in folder.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                found.extend(load(&path, 0)?);
            }
        }
    }
    for built_in in BUILT_IN {
        if !found.iter().any(|known| known.name == built_in.0) {
            found.push(built_in_recipe(built_in, 0)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn built_in_recipe((name, text): &(&str, &str), depth: usize) -> Result<Found, Error> {
    let recipe = Recipe::parse(text, Path::new(&format!("{name}.toml")))?;
    on_its_rootfs(Found { name: (*name).to_owned(), path: None, recipe, parent: None }, depth)
}

fn load(path: &Path, depth: usize) -> Result<Option<Found>, Error> {
    let Some(text) = crate::output::read_text(path, MAX_SIZE)? else { return Ok(None) };
    let recipe = Recipe::parse(&text, path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    on_its_rootfs(Found { name, path: Some(path.into()), recipe, parent: None }, depth).map(Some)
}

/// Puts what the recipe's `rootfs` says of the root before what the recipe says itself.
fn on_its_rootfs(mut found: Found, depth: usize) -> Result<Found, Error> {
    if found.recipe.kind == Kind::Layer && found.recipe.from.is_none() {
        let named = found.recipe.layer.as_ref().and_then(|layer| layer.parent.clone());
        let name = found.named_here(named.as_deref().unwrap_or(PARENT));
        found.parent = Some(Box::new(find_at(&name, depth + 1)?));
        return Ok(found);
    }
    let Some(name) = found.recipe.image.as_ref().and_then(|image| image.rootfs.clone()) else {
        return Ok(found);
    };
    let name = found.named_here(&name);
    let mut below = find_at(&name, depth + 1)?;
    if let Some(from) = below.recipe.from {
        return Err(Error::RootfsFromImage { recipe: name, from });
    }
    let folder = std::path::absolute(below.folder()).map_err(Error::io("find", below.folder()))?;
    below.recipe.start_from(&folder);
    found.recipe.put_on(below.recipe);
    Ok(found)
}

/// Reads the file or folder `path` in `folder` into `files`.
fn read_all(folder: &Path, path: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    let whole = folder.join(path);
    let failed = |error| Error::io("read", &whole)(error);
    let found = std::fs::symlink_metadata(&whole).map_err(failed)?;
    if found.is_dir() {
        for entry in std::fs::read_dir(&whole).map_err(failed)? {
            read_all(folder, &path.join(entry.map_err(failed)?.file_name()), files)?;
        }
        return Ok(());
    }
    if !found.is_file() || found.len() > MAX_FILE {
        let message = format!("it is no file of at most {MAX_FILE} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, message)));
    }
    files.insert(path.to_string_lossy().into_owned(), std::fs::read(&whole).map_err(failed)?);
    Ok(())
}

fn no_recipe(name: &str) -> Error {
    let known = list().unwrap_or_default().into_iter().map(|found| found.name).collect::<Vec<_>>().join(", ");
    Error::NoRecipe { name: name.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distro::Distro;
    use crate::format::{Step, Variant};

    #[test]
    fn built_in_recipes_are_valid() {
        for built_in in BUILT_IN {
            built_in_recipe(built_in, 0).expect("a valid recipe");
        }
    }

    #[test]
    fn what_is_carried_is_what_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/executor-layer.toml");
        let there = load(&folder, 0).expect("a recipe").expect("the recipe of the repository");
        let carried =
            BUILT_IN.iter().find(|(name, _)| *name == there.name).expect("the recipe that is carried");
        let carried = built_in_recipe(carried, 0).expect("a recipe");
        let packed = there.recipe.steps.iter().filter_map(|step| match step {
            Step::Node(node) => Some((&node.folder, &node.pack)),
            _ => None,
        });
        for (folder, names) in packed {
            let [there, carried] = [&there, &carried].map(|found| found.files(folder, names).expect("files"));
            assert!(!names.is_empty() && there.keys().eq(carried.keys()), "{there:?}");
            assert!(there == carried, "what is carried of {folder:?} is another");
        }
    }

    #[test]
    fn a_recipe_is_put_on_its_rootfs() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(
                &path,
                format!("format = 1\ndescription = \"d\"\narchitectures = [\"amd64\"]\n{text}"),
            )
            .expect("a recipe");
            path.display().to_string()
        };
        write(
            "below/base.toml",
            "kind = \"rootfs\"\noutput = \"x.tar\"\nvariant = \"apt\"\n[distros.debian]\nsuite = \"sid\"\n\
             [[steps]]\npackages = [\"a\"]\n[[steps]]\nfiles = [{ path = \"/a\", source = \"a.txt\" }]\n",
        );
        let top = write(
            "top.toml",
            "kind = \"image\"\n[image]\nrootfs = \"below/base.toml\"\n[[steps]]\npackages = [\"b\"]\n",
        );
        let found = find(&top).expect("a recipe");
        let recipe = &found.recipe;
        assert_eq!((found.name.as_str(), recipe.kind, recipe.variant), ("top", Kind::Image, Variant::Apt));
        assert_eq!(recipe.packages(Distro::Debian), ["a", "b"]);
        assert_eq!(recipe.distros[&Distro::Debian].suite.as_deref(), Some("sid"));
        let Step::Files(files) = &recipe.steps[1] else { panic!("{:?}", recipe.steps) };
        assert_eq!(files[0].source.as_deref(), Some(&*folder.path().join("below/a.txt")));
        let circle = write("circle.toml", "kind = \"image\"\n[image]\nrootfs = \"./circle.toml\"\n");
        assert!(matches!(find(&circle), Err(Error::RecipeDepth { .. })));
    }

    #[test]
    fn an_unknown_recipe_names_the_known_ones() {
        let message = find("no-such-recipe").expect_err("refused").to_string();
        assert!(message.contains("no-such-recipe") && message.contains("base-rootfs"), "{message}");
    }
}
