//! Sums over what lies beneath each directory.

use tree::EntryPath;

use super::File;

/// For each directory, the root too, the sum of `own` of everything beneath it that is no directory. `files` are in path
/// order, each after the directory that it is in, so once through them is enough, however deep they lie.
pub(crate) fn sums<T: Default>(
    files: &[File],
    own: impl Fn(&File) -> T,
    add: impl Fn(&mut T, &T),
) -> Vec<(EntryPath, T)> {
    let mut done = Vec::new();
    let mut open = vec![(EntryPath::ROOT, T::default())];
    let close = |open: &mut Vec<(EntryPath, T)>, done: &mut Vec<(EntryPath, T)>| {
        let Some((path, sum)) = open.pop() else { return };
        if let Some((_, above)) = open.last_mut() {
            add(above, &sum);
        }
        done.push((path, sum));
    };
    for file in files {
        while open.last().is_some_and(|(path, _)| !file.path.starts_with(path)) {
            close(&mut open, &mut done);
        }
        if file.is_directory() {
            open.push((file.path.clone(), T::default()));
        } else if let Some((_, sum)) = open.last_mut() {
            add(sum, &own(file));
        }
    }
    while !open.is_empty() {
        close(&mut open, &mut done);
    }
    done
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::inventory::Contents;

    #[test]
    fn each_directory_has_what_is_beneath_it() {
        let file = |path: &str, contents| File {
            path: path.parse().unwrap(),
            contents,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
            owner: None,
        };
        let files: Vec<File> = ["a/", "a/b/", "a/b/x", "a/b/y", "a/x", "a-b", "c/", "d/", "d/x"]
            .iter()
            .map(|path| match path.strip_suffix('/') {
                Some(path) => file(path, Contents::Directory),
                None => file(path, Contents::Fifo),
            })
            .collect();
        let found: BTreeMap<String, u64> = sums(&files, |_| 1_u64, |sum, more| *sum += more)
            .into_iter()
            .map(|(path, sum)| (path.to_string(), sum))
            .collect();
        let expected = [(".", 5), ("a", 3), ("a/b", 2), ("c", 0), ("d", 1)];
        assert_eq!(found, expected.map(|(path, sum)| (path.to_owned(), sum)).into());
    }
}
