//! Where recipes are found: by path, then in `./recipes`, then among those built into the program.

use std::path::{Path, PathBuf};

use crate::{Error, Recipe};

/// The recipes that the program carries.
const BUILT_IN: &[(&str, &str)] = &[
    ("base-rootfs", include_str!("../../../recipes/base-rootfs.toml")),
    ("server-base", include_str!("../../../recipes/server-base.toml")),
];

/// The folder of the user's own recipes.
const FOLDER: &str = "recipes";

/// The size in bytes above which a file is not read as a recipe.
const MAX_SIZE: u64 = 1 << 20;

/// A recipe and where it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name: the file's, without `.toml`.
    pub name: String,
    /// Its file; none for one that is built into the program.
    pub path: Option<PathBuf>,
    /// What it says.
    pub recipe: Recipe,
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

    /// The folder that relative paths in the recipe start from.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.path.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
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
    if name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        let path = PathBuf::from(name);
        return load(&path)?.ok_or_else(|| no_recipe(name));
    }
    if let Some(found) = load(&Path::new(FOLDER).join(format!("{name}.toml")))? {
        return Ok(found);
    }
    let built_in = BUILT_IN.iter().find(|(known, _)| *known == name).ok_or_else(|| no_recipe(name))?;
    built_in_recipe(built_in)
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
                found.extend(load(&path)?);
            }
        }
    }
    for built_in in BUILT_IN {
        if !found.iter().any(|known| known.name == built_in.0) {
            found.push(built_in_recipe(built_in)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn built_in_recipe((name, text): &(&str, &str)) -> Result<Found, Error> {
    let recipe = Recipe::parse(text, Path::new(&format!("{name}.toml")))?;
    Ok(Found { name: (*name).to_owned(), path: None, recipe })
}

fn load(path: &Path) -> Result<Option<Found>, Error> {
    let Some(text) = crate::output::read_text(path, MAX_SIZE)? else { return Ok(None) };
    let recipe = Recipe::parse(&text, path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(Found { name, path: Some(path.into()), recipe }))
}

fn no_recipe(name: &str) -> Error {
    let known = list().unwrap_or_default().into_iter().map(|found| found.name).collect::<Vec<_>>().join(", ");
    Error::NoRecipe { name: name.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_are_valid() {
        for built_in in BUILT_IN {
            built_in_recipe(built_in).expect("a valid recipe");
        }
    }

    #[test]
    fn an_unknown_recipe_names_the_known_ones() {
        let message = find("no-such-recipe").expect_err("refused").to_string();
        assert!(message.contains("no-such-recipe") && message.contains("base-rootfs"), "{message}");
    }
}
