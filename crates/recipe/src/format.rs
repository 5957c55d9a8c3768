//! The recipe format: what a TOML file in `recipes/` may say.
//!
//! Recipes of every kind share one vocabulary of [`Step`]s. A key that is not listed here is an error with its line, so a
//! misspelt one is never silently ignored.

mod image;
mod layer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Error;
use crate::distro::Distro;
use crate::image_base::is_path;
pub use image::{Compression, Form, Image, Layers, ShippedStore};
pub use layer::{Layer, NodeStep, PythonStep};
pub(crate) use layer::{PARENT, PythonFile};

/// What `from` says when an image has nothing below it.
pub(crate) const NOTHING: &str = "scratch";

/// The version of the format that this program reads.
pub const FORMAT: u32 = 1;

/// One artifact, as a recipe describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// What kind of artifact this is.
    pub kind: Kind,
    /// One line for `list`.
    pub description: String,
    /// The architectures to build when the command line names none, by Debian's names.
    pub architectures: Vec<String>,
    /// The file's name for each architecture; `{arch}` stands for its name. The ending chooses the form: `.tar`,
    /// `.tar.gz`, `.tar.xz`, `.tar.zst`, anything else a directory. Of an image the name of the whole, see [`Form`]; when it is
    /// empty, the recipe's.
    #[serde(default)]
    pub output: String,
    /// The image that a root filesystem is made from instead of packages: a reference, or the location of an image layout or
    /// archive, relative to the recipe.
    pub from: Option<String>,
    /// Which packages are there before any step.
    #[serde(default)]
    pub variant: Variant,
    /// What an image is beyond its root.
    pub image: Option<Image>,
    /// What a layer is beyond its contents.
    pub layer: Option<Layer>,
    /// The programs that an image has in `/usr/bin`, each with where it comes from: a folder with a Cargo workspace, whose
    /// package of that name is built, or a file, in whose path `{arch}` stands for the architecture. Relative to the recipe.
    #[serde(default)]
    pub component: BTreeMap<String, String>,
    /// The distribution built when the command line names none.
    #[serde(default)]
    pub distro: Distro,
    /// What a distribution's archives are, where the built-in facts do not fit.
    #[serde(default)]
    pub distros: BTreeMap<Distro, DistroSettings>,
    /// What happens to the root, in order. Packages of all steps are installed together, before the other steps.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// The kind of artifact that a recipe makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A root filesystem made of Debian packages.
    Rootfs,
    /// An OCI image of such a root, for all architectures together.
    Image,
    /// A layer on such a root, for `ovmlayer`.
    Layer,
}

/// Which packages a root starts from; mmdebstrap's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Packages marked `Essential: yes` and what they depend on.
    Essential,
    /// [`Variant::Essential`] and apt.
    Apt,
    /// [`Variant::Apt`] and every package of priority `required`.
    #[default]
    Minbase,
}

/// One thing that happens to a tree. The vocabulary is shared by all kinds of recipes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Debian packages to install, with what they depend on, without recommended ones.
    Packages(Vec<PackageName>),
    /// Files to put into the tree.
    Files(Vec<FileStep>),
    /// A command to run inside the tree.
    Run(RunStep),
    /// Environment variables for the `run` steps that follow.
    Env(BTreeMap<String, String>),
    /// Users to create.
    Users(Vec<UserStep>),
    /// Paths to leave out of the artifact: globs in which `*` stops at `/` and `**` does not.
    Slim(Vec<String>),
    /// Python packages.
    Python(PythonStep),
    /// Packages of Node.js.
    Node(NodeStep),
}

/// A package, by one name everywhere or by a name per distribution.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PackageNameToml")]
pub enum PackageName {
    /// The same name in every distribution. May carry `=VERSION`.
    Same(String),
    /// A name per distribution; a distribution that is missing gets nothing.
    PerDistro(BTreeMap<Distro, String>),
}

impl PackageName {
    /// The name in `distro`, if the package exists there.
    #[must_use]
    pub fn for_distro(&self, distro: Distro) -> Option<&str> {
        match self {
            Self::Same(name) => Some(name),
            Self::PerDistro(names) => names.get(&distro).map(String::as_str),
        }
    }
}

/// How a package name stands in TOML, before it is checked.
#[derive(Deserialize)]
#[serde(transparent)]
struct PackageNameToml(toml::Value);

impl TryFrom<PackageNameToml> for PackageName {
    type Error = String;

    fn try_from(PackageNameToml(value): PackageNameToml) -> Result<Self, String> {
        match value {
            toml::Value::String(name) => Ok(Self::Same(name)),
            toml::Value::Table(table) => table
                .into_iter()
                .map(|(distro, name)| match name {
                    toml::Value::String(name) => Ok((distro.parse()?, name)),
                    other => Err(format!("a package's name is a string, not {}", other.type_str())),
                })
                .collect::<Result<_, _>>()
                .map(Self::PerDistro),
            other => Err(format!(
                "a package is a string or a table such as {{ debian = \"a\", ubuntu = \"b\" }}, not {}",
                other.type_str()
            )),
        }
    }
}

/// One file or folder of a `files` step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileStep {
    /// Where it goes: an absolute path inside the tree. Missing parents are made, owned by root, mode 0755.
    pub path: String,
    /// Its text. Either this or `source` or `link`.
    pub content: Option<String>,
    /// A file or folder on this machine to copy, relative to the recipe. A folder comes with all that is in it, with its
    /// permissions.
    pub source: Option<PathBuf>,
    /// What a symbolic link points to.
    pub link: Option<String>,
    /// Permissions in octal, such as `"0755"`. Default `"0644"`.
    pub mode: Option<String>,
    /// Owner and group by number, `UID:GID`. Default `0:0`.
    pub owner: Option<String>,
}

/// A command of a `run` step: it runs in the sandbox as root, in `/`, without a host network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunStep {
    /// A script for `/bin/sh -e`.
    pub script: String,
    /// Whether the command may use the host's network. What it fetches is not in the lock.
    #[serde(default)]
    pub network: bool,
}

/// A user of a `users` step, made with the root's own `useradd`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UserStep {
    /// The login name.
    pub name: String,
    /// The numeric id; the group of the same name gets the same.
    pub uid: u32,
    /// The login shell. Default `/bin/sh`.
    pub shell: Option<String>,
    /// The home folder, created. Default `/home/NAME`.
    pub home: Option<String>,
}

/// What a recipe changes about a distribution's archives.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DistroSettings {
    /// The suite; the built-in one is the current stable release or LTS.
    pub suite: Option<String>,
    /// The components, such as `["main"]`.
    pub components: Option<Vec<String>>,
    /// The base of the main archive: both where packages come from and what the root's own apt will use.
    pub mirror: Option<String>,
    /// The base of the security archive, likewise.
    pub security_mirror: Option<String>,
    /// Further archives with their own keys.
    #[serde(default)]
    pub archives: Vec<ExtraArchive>,
}

/// A further archive with its own key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExtraArchive {
    /// A short name: it names the file in `etc/apt/sources.list.d` and the archive in the lock.
    pub name: String,
    /// The archive's base.
    pub uri: String,
    /// Its suites.
    pub suites: Vec<String>,
    /// Its components.
    pub components: Vec<String>,
    /// The public key that signs it: a file beside the recipe, binary or armoured. It is put into the root as well.
    pub signed_by: PathBuf,
}

impl Recipe {
    /// Reads a recipe from `text`; `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::RecipeSyntax`] with file and line for anything that the format does not allow.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let recipe: Self = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::RecipeSyntax { path: path.into(), line, message: error.message().to_owned() }
        })?;
        recipe.check().map_err(|(key, message)| Error::RecipeSyntax {
            path: path.into(),
            line: line_of(text, key),
            message,
        })?;
        Ok(recipe)
    }

    /// What the types do not say. The error names the key, so that its line can be found.
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.format != FORMAT {
            let newer = "this program reads format 1: use a newer ovmlayer-rootfs, or write `format = 1`";
            return Err(("format", format!("recipe format {} is not known; {newer}", self.format)));
        }
        if self.architectures.is_empty() {
            return Err(("architectures", "at least one architecture is needed".into()));
        }
        if let Some(arch) =
            self.architectures.iter().find(|arch| !crate::distro::ARCHITECTURES.contains(&arch.as_str()))
        {
            let known = crate::distro::ARCHITECTURES.join(", ");
            return Err(("architectures", format!("architecture `{arch}` is not one of {known}")));
        }
        self.check_output()?;
        match (&self.image, self.kind) {
            (Some(_), Kind::Rootfs | Kind::Layer) => {
                return Err(("[image]", "only recipes of kind `image` have a table `[image]`".into()));
            }
            (Some(image), Kind::Image) => image.check()?,
            (None, _) => {}
        }
        if self.kind != Kind::Image && !self.component.is_empty() {
            return Err(("component", "only recipes of kind `image` have components".into()));
        }
        if let Some(name) = self.component.keys().find(|name| name.contains('/') || name.starts_with('.')) {
            return Err(("component", format!("`{name}` is not the name of a program")));
        }
        self.check_layer()?;
        if let Some(from) = &self.from {
            self.check_from(from)?;
        }
        self.steps.iter().try_for_each(Step::check)
    }

    fn check_output(&self) -> Result<(), (&'static str, String)> {
        if self.kind == Kind::Image && self.output.is_empty() {
            return Ok(());
        }
        if self.output.contains('/') || self.output.is_empty() || self.output.starts_with('.') {
            return Err(("output", format!("`{}` is not a plain file name", self.output)));
        }
        let named = self.output.contains("{arch}");
        if self.kind == Kind::Image && Form::of(&self.output) != Form::DockerTar {
            let message = "an image is one for all architectures: its name must not contain `{arch}`";
            return if named { Err(("output", message.into())) } else { Ok(()) };
        }
        if self.architectures.len() > 1 && !named {
            return Err(("output", "with several architectures the name must contain `{arch}`".into()));
        }
        Ok(())
    }

    /// Makes the paths on this machine absolute that start from the recipe's folder, which is `folder`.
    pub(crate) fn start_from(&mut self, folder: &Path) {
        for step in &mut self.steps {
            let Step::Files(files) = step else { continue };
            for source in files.iter_mut().filter_map(|file| file.source.as_mut()) {
                *source = folder.join(&*source);
            }
        }
        for archive in self.distros.values_mut().flat_map(|settings| &mut settings.archives) {
            archive.signed_by = folder.join(&archive.signed_by);
        }
    }

    /// Puts this recipe on another one, which says what the root starts from and whose steps come first. Of a distribution
    /// for which both say something, what this one says counts.
    pub(crate) fn put_on(&mut self, below: Self) {
        self.variant = below.variant;
        self.steps.splice(0..0, below.steps);
        for (distro, settings) in below.distros {
            self.distros.entry(distro).or_insert(settings);
        }
    }

    /// What can be done with an image: another image on top of it, or, without running anything in it, a tar.
    fn check_from(&self, from: &str) -> Result<(), (&'static str, String)> {
        if !is_path(from)
            && let Err(error) = from.parse::<::image::Location>()
        {
            return Err(("from", error.to_string()));
        }
        match self.kind {
            Kind::Image => return self.check_on_image(),
            Kind::Layer => return self.check_layer_on_image(),
            Kind::Rootfs => {}
        }
        if self.is_from_nothing() {
            return Err(("from", format!("`{NOTHING}` is what images start from, not root filesystems")));
        }
        if !self.output.contains(".tar") && !self.output.ends_with(".tgz") {
            return Err(("output", "what is made from an image is a tar, compressed or not".into()));
        }
        let other = self.steps.iter().find_map(|step| match step {
            Step::Packages(_) => Some("packages"),
            Step::Run(_) => Some("run"),
            Step::Env(_) => Some("env"),
            Step::Users(_) => Some("users"),
            Step::Python(_) => Some("python"),
            Step::Node(_) => Some("node"),
            Step::Files(_) | Step::Slim(_) => None,
        });
        match other {
            Some(word) => Err((
                word,
                format!("a step `{word}` cannot be carried out on an image (`from`): `files` and `slim` can"),
            )),
            None => Ok(()),
        }
    }

    fn check_on_image(&self) -> Result<(), (&'static str, String)> {
        let settings = self.image.as_ref();
        if settings.is_some_and(|image| image.rootfs.is_some()) {
            return Err((
                "from",
                "an image is made on another one (`from`) or of a `rootfs`, not both".into(),
            ));
        }
        if settings.is_some_and(|image| image.layers != Layers::Concerns) {
            return Err((
                "layers",
                "a budget of layers is for packages, and an image on another one has none".into(),
            ));
        }
        let ships = |image: &Image| image.store.is_some() || !image.with_layers.is_empty();
        if settings.is_some_and(ships) || !self.component.is_empty() {
            return Err((
                "from",
                "an image on another one has neither components nor `with-layers` nor a `store`: those come with packages".into(),
            ));
        }
        if self.steps.iter().any(|step| matches!(step, Step::Packages(_))) {
            return Err((
                "packages",
                "a step `packages` cannot be carried out on an image (`from`): install them by `run` with \
                 `network = true`, or make the image of a `rootfs`"
                    .into(),
            ));
        }
        Ok(())
    }

    /// Whether the image is made on nothing.
    pub(crate) fn is_from_nothing(&self) -> bool {
        self.from.as_deref() == Some(NOTHING)
    }

    /// The packages that the steps name for `distro`, in order, each once.
    #[must_use]
    pub fn packages(&self, distro: Distro) -> Vec<String> {
        let mut names = Vec::new();
        for step in &self.steps {
            let Step::Packages(packages) = step else { continue };
            for name in packages.iter().filter_map(|package| package.for_distro(distro)) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }
}

impl Step {
    fn check(&self) -> Result<(), (&'static str, String)> {
        match self {
            Self::Files(files) => files.iter().try_for_each(|file| {
                file.check().map_err(|message| ("path", format!("file `{}`: {message}", file.path)))
            }),
            Self::Users(users) => users.iter().try_for_each(|user| {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
                if user.name.is_empty() || user.name.starts_with('-') || !user.name.chars().all(plain) {
                    return Err(("name", format!("`{}` is not a user name", user.name)));
                }
                Ok(())
            }),
            Self::Python(python) => python.check(),
            Self::Node(node) => node.check(),
            Self::Packages(_) | Self::Run(_) | Self::Env(_) | Self::Slim(_) => Ok(()),
        }
    }
}

impl FileStep {
    fn check(&self) -> Result<(), String> {
        let forms = [self.content.is_some(), self.source.is_some(), self.link.is_some()]
            .iter()
            .filter(|set| **set)
            .count();
        if forms != 1 {
            return Err("needs exactly one of `content`, `source` and `link`".into());
        }
        if !self.path.starts_with('/') {
            return Err("the path must be absolute".into());
        }
        self.mode()?;
        self.owner()?;
        Ok(())
    }

    /// The permission bits, 0 to 0o7777.
    ///
    /// # Errors
    /// A message when `mode` is not octal.
    pub fn mode(&self) -> Result<u32, String> {
        let Some(mode) = &self.mode else { return Ok(0o644) };
        match u32::from_str_radix(mode, 8) {
            Ok(bits) if bits <= 0o7777 => Ok(bits),
            _ => Err(format!("mode `{mode}` is not octal, such as \"0755\"")),
        }
    }

    /// The owner's and group's numbers.
    ///
    /// # Errors
    /// A message when `owner` is not `UID:GID`.
    pub fn owner(&self) -> Result<(u32, u32), String> {
        let Some(owner) = &self.owner else { return Ok((0, 0)) };
        let parts = owner.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        parts.ok_or_else(|| format!("owner `{owner}` is not UID:GID, such as \"1000:1000\""))
    }
}

/// The line on which `key` is first set, counted from 1.
fn line_of(text: &str, key: &str) -> usize {
    let sets = |line: &str| line.trim_start().trim_start_matches('{').trim_start().starts_with(key);
    text.lines().position(sets).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "format = 1\nkind = \"rootfs\"\ndescription = \"d\"\narchitectures = [\"amd64\"]\n";

    fn message(body: &str) -> String {
        Recipe::parse(&format!("{HEAD}{body}"), Path::new("r.toml")).expect_err("refused").to_string()
    }

    #[test]
    fn mistakes_are_named_with_file_and_line() {
        let cases = [
            ("an unknown key", "output = \"x.tar\"\ncolour = 1\n", "r.toml:6", "colour"),
            ("an unknown step", "output = \"x.tar\"\n[[steps]]\nbake = []\n", "r.toml:7", "bake"),
            ("a path as output", "output = \"../x.tar\"\n", "r.toml:5", "plain file name"),
            (
                "a relative file",
                "output = \"x\"\n[[steps]]\nfiles = [\n{ path = \"a\", content = \"\" },\n]\n",
                "r.toml:8",
                "absolute",
            ),
            (
                "two contents",
                "output = \"x\"\n[[steps]]\nfiles = [\n{ path = \"/a\", content = \"\", link = \"b\" },\n]\n",
                "r.toml:8",
                "exactly one",
            ),
            (
                "a decimal mode",
                "output = \"x\"\n[[steps]]\nfiles = [\n{ path = \"/a\", content = \"\", mode = \"999\" },\n]\n",
                "r.toml:8",
                "octal",
            ),
            ("an unknown distribution", "output = \"x\"\ndistro = \"arch\"\n", "r.toml:6", "arch"),
            ("no output", "variant = \"apt\"\n", "r.toml:1", "plain file name"),
            (
                "a root with image settings",
                "output = \"x\"\n[image]\nuser = \"a\"\n",
                "r.toml:6",
                "kind `image`",
            ),
            ("no reference", "output = \"x.tar\"\nfrom = \"A B\"\n", "r.toml:6", "`A B` is not a reference"),
            ("a folder of an image", "output = \"x\"\nfrom = \"a/b\"\n", "r.toml:5", "is a tar"),
            (
                "packages on an image",
                "output = \"x.tar\"\nfrom = \"a/b\"\n[[steps]]\npackages = [\"zsh\"]\n",
                "r.toml:8",
                "`packages` cannot",
            ),
        ];
        for (summary, body, place, word) in cases {
            let text = message(body);
            assert!(text.contains(place) && text.contains(word), "{summary}: {text}");
        }
    }

    #[test]
    fn the_reference_has_an_example_that_is_valid_and_names_every_key() {
        let page = include_str!("../../../docs/recipes.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        Recipe::parse(example.expect("an example"), Path::new("docs/recipes.md")).expect("a valid recipe");
        let source = include_str!("format.rs").split("mod tests").next().expect("the format");
        let image = include_str!("format/image.rs").split("mod tests").next().expect("the format");
        let layer = include_str!("format/layer.rs").split("mod tests").next().expect("the format");
        let fields = source
            .lines()
            .chain(image.lines())
            .chain(layer.lines())
            .filter_map(|line| line.strip_prefix("    pub "))
            .filter(|line| !line.starts_with("fn "));
        let keys: Vec<String> =
            fields.filter_map(|line| line.split(':').next()).map(|name| name.replace('_', "-")).collect();
        assert!(keys.len() > 35, "{keys:?}");
        for key in keys {
            let named = page.contains(&format!("`{key}`")) || page.contains(&format!("`{key}."));
            assert!(named, "docs/recipes.md does not explain `{key}`");
        }
    }

    #[test]
    fn images_have_settings_of_their_own() {
        let head = HEAD.replace("rootfs", "image").replace("[\"amd64\"]", "[\"amd64\", \"arm64\"]");
        let read = |body: &str| Recipe::parse(&format!("{head}{body}"), Path::new("r.toml"));
        let recipe =
            read("[image]\nlayers = { budget = 7 }\ncompression = \"zstd\"\nstop-signal = \"SIGINT\"\n");
        let image = recipe.expect("a recipe").image.expect("an image");
        assert_eq!((image.layers, image.compression), (Layers::Budget(7), Compression::Zstd));
        assert_eq!(read("").expect("a recipe").image.unwrap_or_default().layers, Layers::Concerns);
        read("output = \"{arch}.docker.tar\"\n").expect("a Docker archive for each architecture");
        for (summary, body, place, word) in [
            ("an unknown key", "[image]\ncolour = 1\n", "r.toml:6", "colour"),
            ("a budget of nothing", "[image]\nlayers = { budget = 0 }\n", "r.toml:6", "from 1 to 100"),
            ("a relative folder", "[image]\nworkdir = \"a\"\n", "r.toml:6", "absolute"),
            ("a relative volume", "[image]\nuser = \"a\"\nvolumes = [\"/a\", \"b\"]\n", "r.toml:7", "`b`"),
            ("a port with a word", "[image]\nports = [\"http\"]\n", "r.toml:6", "`http`"),
            ("port 0", "[image]\nports = [\"0/tcp\"]\n", "r.toml:6", "`0/tcp`"),
            ("a variable with a sign", "[image]\nenv = { \"A=B\" = \"\" }\n", "r.toml:6", "`A=B`"),
            ("a signal in words", "[image]\nstop-signal = \"stop it\"\n", "r.toml:6", "signal"),
            ("a tar for each architecture", "output = \"{arch}.oci.tar\"\n", "r.toml:5", "all architectures"),
            ("one Docker archive for two", "output = \"x.docker.tar\"\n", "r.toml:5", "{arch}"),
        ] {
            let text = read(body).expect_err(summary).to_string();
            assert!(text.contains(place) && text.contains(word), "{summary}: {text}");
        }
    }

    #[test]
    fn packages_are_named_per_distribution() {
        let body = "output = \"x\"\n[[steps]]\npackages = [\"zsh\", { debian = \"a\", ubuntu = \"b\" }, \"zsh\", { ubuntu = \"c\" }]\n";
        let recipe = Recipe::parse(&format!("{HEAD}{body}"), Path::new("r.toml")).expect("a recipe");
        assert_eq!(recipe.packages(Distro::Debian), ["zsh", "a"]);
        assert_eq!(recipe.packages(Distro::Ubuntu), ["zsh", "b", "c"]);
    }
}
