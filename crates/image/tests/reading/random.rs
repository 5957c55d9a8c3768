//! Layers that nobody would think of, beside `umoci`.

use testkit::{Member, Random, number};

use crate::layers::{dir, file, link, symlink};
use crate::made::{Made, same_as_umoci, umoci_takes};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn name(random: &mut Random) -> String {
    let depth = 1 + random.below(3);
    let parts: Vec<&str> = (0..depth).map(|_| *random.pick(&NAMES)).collect();
    parts.join("/")
}

fn member(random: &mut Random, count: usize) -> Member {
    let name = name(random);
    let (parent, last) = name.rsplit_once('/').map_or(("", name.as_str()), |(parent, last)| (parent, last));
    let slash = if parent.is_empty() { "" } else { "/" };
    match random.below(24) {
        0..=7 => dir(&format!("{name}/")).mode(*random.pick(&[0o755, 0o700, 0o1777])),
        8..=15 => file(&name, &format!("contents {count}")).owner(*random.pick(&[0, 1, 1000]), 0),
        16..=17 => file(&format!("{parent}{slash}.wh.{last}"), ""),
        18..=19 => file(&format!("{name}/.wh..wh..opq"), ""),
        20..=22 => symlink(&name, random.pick::<&str>(&["a", "../b", "/c", "d/a", "../../../a"])),
        _ => link(&name, &self::name(random)),
    }
}

/// Images of a few layers of a few members; those that `umoci` does not take are not taken by us, and the others become
/// the same. `OVMLAYER_IMAGES` sets how many.
#[test]
fn images_at_random() {
    let images = number("OVMLAYER_IMAGES", 150);
    let mut random = Random::new(4);
    let mut taken = 0;
    for image in 0..images {
        let mut count = 0;
        let mut layer = |random: &mut Random| {
            let members = 1 + random.below(4);
            let mut next = || {
                count += 1;
                member(random, count)
            };
            (0..members).map(|_| next()).collect::<Vec<_>>()
        };
        let layers: Vec<Vec<Member>> = (0..3).map(|_| layer(&mut random)).collect();
        let shown: Vec<Vec<String>> = layers
            .iter()
            .map(|layer| {
                layer.iter().map(|member| String::from_utf8_lossy(&member.name).into_owned()).collect()
            })
            .collect();
        let summary = format!("image {image}: {shown:?}");
        let made = Made::new(&layers);
        match made.flatten() {
            Ok(_) => {
                taken += 1;
                same_as_umoci(&made, &summary);
            }
            Err(error) => assert!(!umoci_takes(&made), "{summary}: {error:?}"),
        }
    }
    assert!(taken * 10 > images, "too few images are good ones: {taken} of {images}");
}
