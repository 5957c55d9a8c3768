//! Fuzz targets for everything that reads hostile bytes.
//!
//! Enters: any bytes. Leaves: nothing, or a panic, which is a bug of the parser. A target also checks what must hold of
//! whatever a parser accepts: names stay inside, orders are orders, what was read can be written and read again.
//!
//! Two harnesses share the [`TARGETS`]: libFuzzer (`targets/`, feature `libfuzzer`) finds its way by coverage;
//! [`mutate::Mutator`] makes a seeded, repeatable sample of damaged inputs for `cargo test`.

pub mod deps;
pub mod flows;
pub mod headers;
pub mod images;
pub mod mutate;
mod seeds;
pub mod targets;

/// One parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also of its program (`fuzz-NAME`) and its corpus.
    pub name: &'static str,
    /// Gives it bytes.
    pub run: fn(&[u8]),
    /// Inputs that it accepts, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of its language, for the mutator.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "tar", run: targets::tar, seeds: seeds::tar, words: seeds::TAR_WORDS },
    Target { name: "layers", run: targets::layers, seeds: seeds::layers, words: seeds::LAYER_WORDS },
    Target { name: "oci", run: targets::oci, seeds: seeds::oci, words: seeds::LAYER_WORDS },
    Target { name: "images", run: images::images, seeds: images::seeds, words: images::WORDS },
    Target { name: "flatten", run: images::flattened, seeds: seeds::oci, words: seeds::LAYER_WORDS },
    Target { name: "deb", run: targets::deb, seeds: seeds::deb, words: seeds::DEB_WORDS },
    Target { name: "control", run: targets::control, seeds: seeds::control, words: seeds::CONTROL_WORDS },
    Target { name: "version", run: targets::version, seeds: seeds::version, words: seeds::VERSION_WORDS },
    Target { name: "packages", run: targets::packages, seeds: seeds::packages, words: seeds::CONTROL_WORDS },
    Target { name: "release", run: targets::release, seeds: seeds::release, words: seeds::RELEASE_WORDS },
    Target { name: "headers", run: headers::headers, seeds: headers::seeds, words: headers::WORDS },
    Target {
        name: "manifest",
        run: flows::manifest,
        seeds: flows::manifest_seeds,
        words: flows::MANIFEST_WORDS,
    },
    Target { name: "wheel", run: deps::wheel, seeds: deps::wheels, words: deps::WHEEL_WORDS },
    Target { name: "npm", run: deps::npm, seeds: deps::npm_archives, words: deps::NPM_WORDS },
    Target { name: "locks", run: deps::locks_of_packages, seeds: deps::locks, words: deps::LOCK_WORDS },
    Target { name: "packets", run: flows::packets, seeds: flows::packet_seeds, words: flows::PACKET_WORDS },
];
