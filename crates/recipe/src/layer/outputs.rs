//! The files that layers become: archives for `ovmlayer`, bills of materials beside them, and an OCI image of all of them.

use std::sync::atomic::AtomicBool;

use image::inventory::{Collector, Inventory};
use image::sbom::Form;
use layers::LayerName;
use layers::archive::{self, Source};
use tree::Root;
use tree::codec::{Encoder, Format};
use tree::layer::{Change, Marks};

use super::lock::Program;
use crate::Error;
use crate::about::{self, Made as Statement};
use crate::build::{Options, Session};
use crate::find::Found;
use crate::image::ImageOutput;
use crate::layering::Part;
use crate::output::{self, Pending, Shape};

/// A layer that is complete but for the names of its files.
pub(super) struct Made {
    pub(super) archive: Pending,
    /// What is beside it.
    pub(super) documents: Vec<Pending>,
    /// The programs for other machines in it.
    pub(super) programs: Vec<Program>,
}

/// Where layers of all architectures are written to.
pub(super) struct Outputs<'a> {
    found: &'a Found,
    options: &'a Options,
    interrupted: &'a AtomicBool,
    name: LayerName,
    image: Option<ImageOutput<'a>>,
}

impl<'a> Outputs<'a> {
    /// Begins the outputs of `found`.
    pub(super) fn begin(session: &'a Session, found: &'a Found, options: &'a Options) -> Result<Self, Error> {
        let named = found.recipe.layer.as_ref().and_then(|layer| layer.name.clone());
        let name = LayerName::new(named.unwrap_or_else(|| found.name.clone()));
        let name = name.map_err(|error| Error::Layer { message: error.to_string() })?;
        let image = options.oci.then(|| ImageOutput::of_layers(found, options)).transpose()?;
        Ok(Self { found, options, interrupted: session.interrupt.flag(), name, image })
    }

    /// The name of the layer.
    pub(super) fn name(&self) -> &LayerName {
        &self.name
    }

    /// Writes the layer in `root`.
    pub(super) fn write(
        &mut self,
        root: Root,
        architecture: &str,
        programs: Vec<Program>,
        epoch: i64,
    ) -> Result<Made, Error> {
        let forms = &self.options.documents.sbom;
        let inventory = if forms.is_empty() { None } else { Some(inventory(&root, forms)?) };
        if let Some(image) = &mut self.image {
            let changes = root.scan_layer(Marks::User).collect::<Result<Vec<_>, _>>()?;
            let shape = Shape {
                epoch,
                leave_out: &|_| false,
                threads: self.options.jobs(),
                interrupted: self.interrupted,
            };
            let layer = image.pack(&root, Part { origin: "layer".to_owned(), changes }, &shape)?;
            image.add_on(architecture, None, vec![layer], epoch)?;
        }
        let name = self.found.recipe.output.replace("{arch}", architecture);
        let archive = self.archive(root, &name)?;
        let documents = inventory.map(|inventory| self.documents(&name, &archive, &inventory));
        let documents = documents.transpose()?.unwrap_or_default();
        Ok(Made { archive, documents, programs })
    }

    /// Completes the image of all layers, if one is asked for; `made` is of what.
    pub(super) fn finish(self, made: Statement) -> Result<Vec<Pending>, Error> {
        self.image.map_or(Ok(Vec::new()), |image| image.finish(made, self.interrupted))
    }

    fn archive(&self, root: Root, name: &str) -> Result<Pending, Error> {
        let format = Format::from_file_name(name);
        output::write_file(&self.options.out.join(name), self.interrupted, |sink| {
            let sources = [Source { name: &self.name, root, marks: Marks::User }];
            let failed = |message: String| Error::Layer { message };
            let encoder =
                Encoder::new(format, sink, self.options.jobs()).map_err(|error| failed(error.to_string()))?;
            let (encoder, _) =
                archive::write(&sources, encoder).map_err(|problem| failed(crate::files::chain(problem)))?;
            encoder.finish().map_err(|error| failed(error.to_string()))?;
            Ok(())
        })
    }

    /// The bills of materials of the archive called `name`, with the names that such files have.
    fn documents(&self, name: &str, archive: &Pending, inventory: &Inventory) -> Result<Vec<Pending>, Error> {
        let digest = archive.sum.map(|(_, digest)| digest);
        let subject = about::subject(name, digest, false, inventory)?;
        let stem = name.split(".tar").next().unwrap_or(name);
        let document = |form: &Form| {
            let ending = match form {
                Form::Spdx => "spdx.json",
                Form::CycloneDx => "cdx.json",
            };
            let path = self.options.out.join(format!("{stem}.{ending}"));
            let bytes = form.document(&subject, inventory);
            output::write_file(&path, self.interrupted, |sink| {
                sink.write_all(&bytes).map_err(Error::io("write", &path))
            })
        };
        self.options.documents.sbom.iter().map(document).collect()
    }
}

/// What is in the layer in `root`, without what it takes away.
fn inventory(root: &Root, forms: &[Form]) -> Result<Inventory, Error> {
    let mut collector = Collector::new(about::digests(forms));
    let mut scan = root.scan_layer(Marks::User);
    while let Some(change) = scan.next() {
        let (Change::Added(entry) | Change::Opaque(entry)) = change? else { continue };
        if matches!(entry.kind, tree::Kind::File { .. }) {
            collector.entry(entry, &mut scan.open()?)?;
        } else {
            collector.entry(entry, &mut std::io::empty())?;
        }
    }
    Ok(collector.finish()?)
}
