//! The names that workers use. All share a few; each has some of its own.

/// Layers that are never a top.
pub(crate) const LOWERS: usize = 6;
/// Merge points that are shared, each with a top of its own.
pub(crate) const POINTS: usize = 4;

pub(crate) fn lower(number: usize) -> String {
    format!("shared_{number}")
}

pub(crate) fn top(number: usize) -> String {
    format!("top_{number}")
}

pub(crate) fn point(number: usize) -> String {
    format!("point_{number}")
}

/// The layers of one worker: a lower one, a top, and one that is read back.
pub(crate) fn own_layers(worker: usize) -> [String; 3] {
    ["lower", "top", "copy"].map(|role| format!("w{worker}_{role}"))
}

pub(crate) fn own_point(worker: usize) -> String {
    format!("w{worker}_point")
}

/// Every layer that workers share.
pub(crate) fn shared_layers() -> Vec<String> {
    (0..LOWERS).map(lower).chain((0..POINTS).map(top)).collect()
}

/// Every layer that there can be.
pub(crate) fn all_layers(workers: usize) -> Vec<String> {
    shared_layers().into_iter().chain((0..workers).flat_map(own_layers)).collect()
}

/// Every merge point that there can be.
pub(crate) fn all_points(workers: usize) -> Vec<String> {
    (0..POINTS).map(point).chain((0..workers).map(own_point)).collect()
}

/// The layer that a shared merge point always has on top.
pub(crate) fn top_of_shared(point: &str) -> Option<String> {
    point.strip_prefix("point_").map(|number| format!("top_{number}"))
}

/// The bytes of a tag's file.
pub(crate) fn text_of(tag: &str) -> String {
    format!("{tag}\n").repeat(40)
}
