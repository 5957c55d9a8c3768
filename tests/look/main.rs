//! `inspect`, `diff` and `sbom` as a user meets them: what they say is what dpkg, pip, npm, sha256sum and the validators of
//! those who define the documents say, and the page is looked at by a browser.
//!
//! Needs root, the Debian packages chromium, docker-registry, dpkg, npm, skopeo, tar, umoci and zstd, and the validators that
//! `cargo xtask test` sets up.

mod changes;
mod documents;
mod forms;
mod installed;
mod page;
mod stage;

use stage::Stage;

/// Something that is asked of the image.
type Check = fn(&Stage);

/// What is asked of one image, which is costly to build, and of what others make of it.
const CHECKS: [(&str, Check); 11] = [
    ("every form is understood alike", forms::every_form_of_a_tree_is_understood_alike),
    ("fields are described", forms::fields_are_described),
    ("packages are those of dpkg", forms::packages_are_those_of_dpkg),
    ("sizes are those of the file system", forms::sizes_are_those_of_the_file_system),
    ("what cannot be read is said", forms::what_cannot_be_read_is_said),
    ("the same is no difference", changes::the_same_is_no_difference_whatever_its_form),
    ("how an image is run is compared", changes::how_an_image_is_run),
    ("SPDX is valid", documents::spdx_is_valid_and_has_every_file_and_package),
    ("CycloneDX is valid", documents::cyclonedx_is_valid_and_has_every_file),
    ("documents go along", documents::documents_go_along_with_the_image),
    ("the map is drawn", page::the_map_is_drawn_and_leads_inside),
];

#[test]
fn one_image_in_all_its_forms() {
    let stage = Stage::build();
    for (name, check) in CHECKS {
        // Shown when it fails.
        println!("{name}");
        check(&stage);
    }
}
