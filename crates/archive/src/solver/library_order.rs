//! Sorts and keeps heaps as the C++ library does that apt is built with (libstdc++).
//!
//! Its `std::sort` and its heaps are not stable: where elements are equal, as most of apt's are, the order in which
//! they come out follows from the algorithm. To come to apt's decisions we have to go through the same motions, which
//! are well known: an introsort with a cut-off at 16 elements, and binary heaps sifted down to the bottom and up again.

/// Stretches up to this length are left to insertion sort.
const CUT_OFF: usize = 16;

/// Sorts as `std::sort` does; `less` must be a strict weak order.
pub(super) fn sort<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    if items.len() < 2 {
        return;
    }
    introsort(items, 2 * items.len().ilog2(), less);
    let (first, _) = items.split_at_mut(CUT_OFF.min(items.len()));
    insertion_sort(first, less);
    for end in CUT_OFF..items.len() {
        insert_unguarded(items, end, less);
    }
}

fn introsort<T: Copy>(mut items: &mut [T], mut depth: u32, less: &impl Fn(&T, &T) -> bool) {
    while items.len() > CUT_OFF {
        if depth == 0 {
            heap_sort(items, less);
            return;
        }
        depth -= 1;
        let cut = partition(items, less);
        let (left, right) = items.split_at_mut(cut);
        introsort(right, depth, less);
        items = left;
    }
}

/// Parts the items around the median of three, which is put first; returns where the right part starts.
fn partition<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) -> usize {
    let (a, b, c) = (1, items.len() / 2, items.len() - 1);
    let lower = |x: usize, y: usize| less(&items[x], &items[y]);
    let median = match (lower(a, b), lower(b, c), lower(a, c)) {
        (true, true, _) | (false, false, false) => b,
        (true, false, true) | (false, true, false) => c,
        (true, false, false) | (false, _, true) => a,
    };
    items.swap(0, median);
    let pivot = items[0];
    let (mut first, mut last) = (1, items.len());
    loop {
        while less(&items[first], &pivot) {
            first += 1;
        }
        last -= 1;
        while less(&pivot, &items[last]) {
            last -= 1;
        }
        if first >= last {
            return first;
        }
        items.swap(first, last);
        first += 1;
    }
}

fn insertion_sort<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    for end in 1..items.len() {
        if less(&items[end], &items[0]) {
            items[..=end].rotate_right(1);
        } else {
            insert_unguarded(items, end, less);
        }
    }
}

/// Moves the item at `end` to its place among those before it, one of which is known not to be above it.
fn insert_unguarded<T: Copy>(items: &mut [T], end: usize, less: &impl Fn(&T, &T) -> bool) {
    let item = items[end];
    let mut place = end;
    while place > 0 && less(&item, &items[place - 1]) {
        items[place] = items[place - 1];
        place -= 1;
    }
    items[place] = item;
}

fn heap_sort<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    make_heap(items, less);
    for end in (1..items.len()).rev() {
        pop_heap(&mut items[..=end], less);
    }
}

/// Makes a heap with the greatest item first.
pub(super) fn make_heap<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    for hole in (0..items.len() / 2).rev() {
        let item = items[hole];
        sift(items, hole, item, less);
    }
}

/// Takes the last item into the heap that those before it are.
pub(super) fn push_heap<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    if let Some(last) = items.len().checked_sub(1) {
        let item = items[last];
        rise(items, last, 0, item, less);
    }
}

/// Moves the greatest item to the end and makes a heap of the others.
pub(super) fn pop_heap<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    if let Some((last, rest)) = items.split_last_mut()
        && let Some(greatest) = rest.first().copied()
    {
        let item = std::mem::replace(last, greatest);
        sift(rest, 0, item, less);
    }
}

/// Lets a hole sink to the bottom along the greater children and an item rise from there.
fn sift<T: Copy>(items: &mut [T], top: usize, item: T, less: &impl Fn(&T, &T) -> bool) {
    let mut hole = top;
    while 2 * hole + 2 < items.len() {
        let right = 2 * hole + 2;
        let child = if less(&items[right], &items[right - 1]) { right - 1 } else { right };
        items[hole] = items[child];
        hole = child;
    }
    if 2 * hole + 2 == items.len() {
        items[hole] = items[2 * hole + 1];
        hole = 2 * hole + 1;
    }
    rise(items, hole, top, item, less);
}

fn rise<T: Copy>(items: &mut [T], mut hole: usize, top: usize, item: T, less: &impl Fn(&T, &T) -> bool) {
    while hole > top && less(&items[(hole - 1) / 2], &item) {
        items[hole] = items[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    items[hole] = item;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs of key and place, sorted by key alone.
    fn sorted(keys: &[u8]) -> Vec<(u8, usize)> {
        let mut items: Vec<_> = keys.iter().copied().zip(0..).collect();
        sort(&mut items, &|a, b| a.0 < b.0);
        items
    }

    #[test]
    fn equal_items_come_out_as_from_the_library() {
        // What a C++ program with libstdc++ 12 prints for std::sort by key alone.
        let places: Vec<_> = sorted(&[1; 20]).iter().map(|item| item.1).collect();
        assert_eq!(places, EQUAL_20);
        let keys: Vec<u8> = (0..40).map(|n| (n * 7 % 5) as u8).collect();
        let places: Vec<_> = sorted(&keys).iter().map(|item| item.1).collect();
        assert_eq!(places, MIXED_40);
    }

    const EQUAL_20: [usize; 20] = [10, 19, 18, 17, 16, 15, 14, 13, 12, 11, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    const MIXED_40: [usize; 40] = [
        10, 20, 25, 15, 30, 35, 5, 0, 33, 8, 28, 13, 3, 38, 23, 18, 31, 1, 36, 26, 21, 6, 16, 11, 39, 19, 4,
        34, 9, 29, 14, 24, 12, 27, 32, 7, 17, 37, 2, 22,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn sorting_sorts(keys in prop::collection::vec(0u8..9, 0..300)) {
            let mut expected: Vec<_> = keys.iter().copied().zip(0..).collect();
            let mut items = sorted(&keys);
            prop_assert!(items.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            expected.sort_unstable();
            items.sort_unstable();
            prop_assert_eq!(items, expected);
        }

        #[test]
        fn heaps_give_the_greatest_first(keys in prop::collection::vec(0u8..99, 1..60), more in 0u8..99) {
            let less = |a: &u8, b: &u8| a < b;
            let mut heap = keys.clone();
            make_heap(&mut heap, &less);
            heap.push(more);
            push_heap(&mut heap, &less);
            let mut expected = keys;
            expected.push(more);
            expected.sort_unstable();
            while let Some(greatest) = expected.pop() {
                pop_heap(&mut heap, &less);
                prop_assert_eq!(heap.pop(), Some(greatest));
            }
        }
    }
}
