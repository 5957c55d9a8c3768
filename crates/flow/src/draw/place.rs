//! Where boxes go: in columns from left to right, so that lines go to the right wherever they can.

use super::Edge;

/// The columns, each with its boxes from top to bottom.
pub(super) fn columns(count: usize, edges: &[Edge]) -> Vec<Vec<usize>> {
    let ranks = ranks(count, edges);
    let last = ranks.iter().copied().max().unwrap_or(0);
    let mut columns = vec![Vec::new(); if count == 0 { 0 } else { last + 1 }];
    for (number, rank) in ranks.iter().enumerate() {
        columns[*rank].push(number);
    }
    for rank in 1..columns.len() {
        let (left, right) = columns.split_at_mut(rank);
        let position =
            |number: usize| left.iter().find_map(|column| column.iter().position(|other| *other == number));
        let height = |number: &usize| {
            let from = edges.iter().filter(|edge| edge.to == *number);
            let heights: Vec<usize> = from.filter_map(|edge| position(edge.from)).collect();
            // In hundredths, because positions are compared as whole numbers.
            heights.iter().sum::<usize>() * 100 / heights.len().max(1)
        };
        right[0].sort_by_key(height);
    }
    columns
}

/// The longest way to each box; lines that close a circle do not count.
fn ranks(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut outgoing = vec![Vec::new(); count];
    for edge in edges {
        outgoing[edge.from].push(edge.to);
    }
    let order = forward_order(count, &outgoing);
    let mut place = vec![0; count];
    for (index, number) in order.iter().enumerate() {
        place[*number] = index;
    }
    let mut ranks = vec![0; count];
    for number in order {
        for to in &outgoing[number] {
            if place[*to] > place[number] {
                ranks[*to] = ranks[*to].max(ranks[number] + 1);
            }
        }
    }
    ranks
}

/// Boxes such that those that lines come from are before those that they go to, where that can be. Depth first, without
/// recursion: flows may be long.
fn forward_order(count: usize, outgoing: &[Vec<usize>]) -> Vec<usize> {
    let mut is_target = vec![false; count];
    for to in outgoing.iter().flatten() {
        is_target[*to] = true;
    }
    let roots = (0..count).filter(|number| !is_target[*number]);
    let mut seen = vec![false; count];
    let mut order = Vec::with_capacity(count);
    for root in roots.chain(0..count).collect::<Vec<_>>() {
        if std::mem::replace(&mut seen[root], true) {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((number, next)) = path.last_mut() {
            let number = *number;
            match outgoing[number].get(*next) {
                Some(to) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[*to], true) {
                        path.push((*to, 0));
                    }
                }
                None => {
                    order.push(number);
                    path.pop();
                }
            }
        }
    }
    order.reverse();
    order
}
