//! Documents about an image, put beside it: bills of materials of what is in it, and a statement of what it was made of. The
//! image and its digest stay what they are without them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use image::inventory::{Digests, Inventory, read_image};
use image::provenance::{self, Dependency, Facts};
use image::sbom::{Form, Subject, deb_purl, npm_purl, pypi_purl};
use image::{Descriptor, Image, Layout, attach, media};
use serde_json::Value;

use crate::image_lock::ImageLock;
use crate::layer::LayerLock;
use crate::lock::{Lock, Package};
use crate::{Error, epoch};

/// What this program calls itself in documents.
const TOOL: &str = "ovmlayer-rootfs";

/// Its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who vouches for a build unless the environment names somebody: this way of building, wherever it is done.
const BUILDER: &str = "https://github.com/oomol/ovmlayer-rootfs";

/// The variable that names the builder, such as the address of a workflow.
const BUILDER_VARIABLE: &str = "OVMLAYER_ROOTFS_BUILDER";

/// The annotation by which others find statements of a kind.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// Which documents are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// Bills of materials, for the image of each architecture.
    pub sbom: Vec<Form>,
    /// A statement about the index, in the form of SLSA provenance.
    pub provenance: bool,
}

impl Documents {
    /// Whether none are wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sbom.is_empty() && !self.provenance
    }
}

/// What is known of how an image was made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// What was asked for.
    parameters: BTreeMap<String, Value>,
    /// What it was made of.
    dependencies: Vec<Dependency>,
}

impl Made {
    /// Of the packages in a lock.
    pub(crate) fn of_packages(lock: &Lock) -> Result<Self, Error> {
        let vendor = lock.distro.to_string();
        let dependency = |package: &Package| deb(&vendor, package);
        let releases = lock.releases.iter().map(|release| Dependency {
            uri: format!("InRelease of {} ({})", release.suite, release.archive),
            name: "InRelease".to_owned(),
            digest: release.sha256,
        });
        let packages = lock.packages.iter().chain(&lock.tools).map(dependency);
        let mut made = Self::of(&lock.recipe, &lock.architectures)?;
        made.dependencies = packages.chain(releases).collect();
        made.parameters.insert("distro".to_owned(), vendor.into());
        made.parameters.insert("suite".to_owned(), lock.suite.clone().into());
        Ok(made)
    }

    /// Of what is in the lock of a layer: its parents, and what is installed.
    pub(crate) fn of_layer(lock: &LayerLock, architectures: &[String]) -> Result<Self, Error> {
        let parents = lock.parents.iter().filter(|parent| architectures.contains(&parent.architecture));
        let vendor = lock.parents.iter().find_map(|parent| parent.distro.as_deref()?.split(' ').next());
        let mut made = Self::of(&lock.recipe, architectures)?;
        let mut add = |uri: String, name: &str, digest| {
            made.dependencies.push(Dependency { uri, name: name.to_owned(), digest });
        };
        for parent in parents {
            add(format!("{} for {}", parent.name, parent.architecture), &parent.name, parent.digest);
        }
        for wheel in &lock.wheels {
            add(pypi_purl(&wheel.name, &wheel.version), &wheel.file, wheel.sha256);
        }
        for (npm, sha256) in lock.npm.iter().filter_map(|npm| Some((&npm.package, npm.sha256?))) {
            add(npm_purl(&npm.name, &npm.version), &npm.name, sha256);
        }
        let packages = lock.packages.iter().map(|package| deb(vendor.unwrap_or_default(), package));
        made.dependencies.extend(packages);
        Ok(made)
    }

    /// Of another image.
    pub(crate) fn of_image(lock: &ImageLock) -> Result<Self, Error> {
        let architectures: Vec<String> = lock.images.iter().map(|image| image.architecture.clone()).collect();
        let mut made = Self::of(&lock.recipe, &architectures)?;
        made.dependencies =
            vec![Dependency { uri: lock.from.clone(), name: lock.from.clone(), digest: lock.sha256 }];
        Ok(made)
    }

    /// Of nothing but what the recipe itself names.
    pub(crate) fn of(recipe: &str, architectures: &[String]) -> Result<Self, Error> {
        let mut parameters: BTreeMap<String, Value> =
            [("recipe".to_owned(), recipe.into()), ("architectures".to_owned(), architectures.into())].into();
        if let Some(epoch) = epoch::of_environment()? {
            parameters.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.into());
        }
        Ok(Self { parameters, dependencies: Vec::new() })
    }
}

/// A Debian package.
fn deb(vendor: &str, package: &Package) -> Dependency {
    Dependency {
        uri: deb_purl(vendor, &package.name, &package.version, &package.architecture),
        name: package.name.clone(),
        digest: package.sha256,
    }
}

/// An image that is whole, with all its architectures.
#[derive(Debug)]
pub(crate) struct Whole<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) layout: &'a Layout,
    /// The index.
    pub(crate) index: &'a Descriptor,
    /// The image of each architecture.
    pub(crate) images: &'a [Descriptor],
}

impl Whole<'_> {
    /// Puts the documents that are wanted beside it.
    pub(crate) fn describe(
        &self,
        documents: &Documents,
        made: Made,
        interrupted: &AtomicBool,
    ) -> Result<(), Error> {
        if !documents.sbom.is_empty() {
            for image in self.images {
                self.list(image, &documents.sbom, interrupted)?;
            }
        }
        if documents.provenance {
            self.state(made)?;
        }
        Ok(())
    }

    fn list(&self, image: &Descriptor, forms: &[Form], interrupted: &AtomicBool) -> Result<(), Error> {
        let read = Image::read(self.layout, image)?;
        let (inventory, _) = read_image(self.layout, &read, digests(forms), interrupted)?;
        let subject = subject(self.name, Some(image.digest), true, &inventory)?;
        for form in forms {
            let document = form.document(&subject, &inventory);
            attach(self.layout, image, form.media_type(), &document, BTreeMap::new())?;
        }
        Ok(())
    }

    fn state(&self, made: Made) -> Result<(), Error> {
        let builder = std::env::var(BUILDER_VARIABLE).ok().filter(|builder| !builder.is_empty());
        let facts = Facts {
            subjects: [(self.name.to_owned(), self.index.digest)].into(),
            parameters: made.parameters,
            dependencies: made.dependencies,
            builder: builder.unwrap_or_else(|| BUILDER.to_owned()),
            versions: [(TOOL.to_owned(), VERSION.to_owned())].into(),
        };
        let kind = [(PREDICATE_TYPE.to_owned(), provenance::PREDICATE.to_owned())].into();
        attach(self.layout, self.index, media::IN_TOTO, &provenance::statement(&facts), kind)?;
        Ok(())
    }
}

/// The digests of files that documents of these forms take.
pub(crate) fn digests(forms: &[Form]) -> Digests {
    if forms.contains(&Form::Spdx) { Digests::WithSha1 } else { Digests::Sha256 }
}

/// What a bill of materials says of what it is about, which is called `name` and holds `inventory`.
pub(crate) fn subject(
    name: &str,
    digest: Option<cache::Digest>,
    is_image: bool,
    inventory: &Inventory,
) -> Result<Subject, Error> {
    Ok(Subject {
        name: name.to_owned(),
        digest,
        is_image,
        created: epoch::of_environment()?.unwrap_or(inventory.newest),
        tool: format!("{TOOL}-{VERSION}"),
    })
}
