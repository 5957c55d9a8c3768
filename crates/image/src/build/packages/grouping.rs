//! Which packages share a layer.

use std::collections::{BTreeMap, BTreeSet};

use cache::Digest;

use super::Share;

/// Of so many groups one holds what is too small for a group of its own.
const PART_OF_BUCKETS: usize = 4;

/// Deals `packages` out to `count` groups, 1 or more, and gives the number of each one's group.
///
/// Group 0 is the base that every root has, then come the largest source packages, each by itself, then the rest, dealt out by
/// a hash of its source's name. So the groups depend on the set of packages alone. When one package is added, at most three
/// of them are other ones than before: its own, and those that the smallest of the largest ones moves between. And images
/// that have the base and large packages in common have those groups in common, whatever else is in them.
#[must_use]
pub fn group(packages: &[Share], count: usize) -> Vec<usize> {
    let mut sources: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for package in packages {
        let (size, base) = sources.entry(&package.source).or_default();
        *size += package.size;
        *base |= package.base;
    }
    // The base is not counted among them: with one group there is nothing else.
    let buckets = (count.saturating_sub(1) / PART_OF_BUCKETS).max(1);
    let alone = alone(&sources, count.saturating_sub(1 + buckets));
    let group_of = |source: &str| {
        if let Some(number) = alone.iter().position(|name| *name == source) {
            return number + 1;
        }
        if count == 1 || sources.get(source).is_some_and(|(_, base)| *base) {
            return 0;
        }
        count - buckets + bucket(source, buckets)
    };
    let groups: BTreeMap<&str, usize> = sources.keys().map(|source| (*source, group_of(source))).collect();
    packages.iter().map(|package| groups.get(package.source.as_str()).copied().unwrap_or(0)).collect()
}

/// The `count` largest sources: those of the base first, so that what differs between images comes later, then by name.
fn alone<'s>(sources: &BTreeMap<&'s str, (u64, bool)>, count: usize) -> Vec<&'s str> {
    let mut by_size: Vec<(&str, u64)> = sources.iter().map(|(name, (size, _))| (*name, *size)).collect();
    by_size.sort_by(|(name, size), (other, than)| than.cmp(size).then(name.cmp(other)));
    let largest: BTreeSet<&str> = by_size.into_iter().take(count).map(|(name, _)| name).collect();
    let is_base = |name: &&str| sources.get(name).is_some_and(|(_, base)| *base);
    let (base, others): (Vec<&str>, Vec<&str>) = largest.into_iter().partition(is_base);
    [base, others].concat()
}

/// The bucket of a source: no standard hash, which may be another one in the next release.
fn bucket(source: &str, buckets: usize) -> usize {
    let Digest([a, b, c, d, ..]) = Digest::of(source.as_bytes());
    u32::from_be_bytes([a, b, c, d]) as usize % buckets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(name: &str, source: &str, size: u64, base: bool) -> Share {
        Share { name: name.to_owned(), source: source.to_owned(), size, base }
    }

    #[test]
    fn the_largest_are_alone_and_sources_stay_together() {
        let packages = [
            share("bash", "bash", 7000, true),
            share("git", "git", 45000, false),
            share("git-man", "git", 2000, false),
            share("libc6", "glibc", 13000, true),
            share("sed", "sed", 900, true),
            share("tree", "tree", 100, false),
            share("zsh", "zsh", 2500, false),
        ];
        assert_eq!(group(&packages, 1), [0; 7]);
        assert_eq!(group(&packages, 2), [0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(group(&packages, 4), [0, 2, 2, 1, 0, 3, 3], "glibc and git alone");
    }

    /// Changing how names are dealt out changes the layers of every image: it is a break of a promise.
    #[test]
    fn buckets_are_stable() {
        let found = ["tree", "zsh", "curl", "less", "nano"].map(|name| bucket(name, 8));
        assert_eq!(found, [3, 5, 1, 2, 4]);
    }

    fn sets() -> impl Strategy<Value = Vec<Share>> {
        let package = ("[a-d]{1,3}", "[a-d]{1,2}", 0..100_u64, proptest::bool::weighted(0.2));
        proptest::collection::vec(package, 1..60).prop_map(|packages| {
            let named: BTreeMap<String, Share> = packages
                .into_iter()
                .map(|(name, source, size, base)| (name.clone(), share(&name, &source, size, base)))
                .collect();
            named.into_values().collect()
        })
    }

    fn groups(packages: &[Share], count: usize) -> BTreeSet<BTreeSet<&str>> {
        let mut groups: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for (package, number) in packages.iter().zip(group(packages, count)) {
            groups.entry(number).or_default().insert(&package.name);
        }
        groups.into_values().collect()
    }

    proptest! {
        #[test]
        fn budgets_are_kept_and_order_does_not_matter(packages in sets(), count in 1..20_usize) {
            let numbers = group(&packages, count);
            prop_assert!(numbers.iter().all(|number| *number < count));
            for (one, first) in packages.iter().zip(&numbers) {
                for (other, second) in packages.iter().zip(&numbers) {
                    prop_assert!(one.source != other.source || first == second, "a source in two groups");
                }
            }
            let turned: Vec<Share> = packages.iter().rev().cloned().collect();
            prop_assert_eq!(groups(&packages, count), groups(&turned, count));
        }

        #[test]
        fn one_more_package_changes_three_groups_at_most(packages in sets(), count in 1..20_usize, number in 0..60_usize) {
            let mut fewer = packages.clone();
            let mut added = fewer.remove(number % packages.len());
            added.base = false;
            let more: Vec<Share> = fewer.iter().cloned().chain([added]).collect();
            let (before, after) = (groups(&fewer, count), groups(&more, count));
            let new = after.difference(&before).count();
            prop_assert!(new <= 3, "{new} new groups:\n{before:?}\n{after:?}");
        }
    }
}
