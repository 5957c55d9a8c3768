//! Something that is either so or not, changed by operations that each happen at one instant of a known span of time.

use std::rc::Rc;

/// A span of ticks, of which each is some operation's begin or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Span {
    /// Before everything.
    pub(crate) const START: Self = Self { begin: 0, end: 0 };

    fn overlaps(self, other: Self) -> bool {
        self.begin < other.end && other.begin < self.end
    }
}

/// Spans of operations, in the orders that questions need.
#[derive(Debug, Default, Clone)]
pub(crate) struct Writes {
    spans: Vec<Span>,
    by_end: Vec<Span>,
    /// The latest begin among the first `n + 1` of `by_end`.
    latest_begin: Vec<u64>,
    /// The earliest begin among those from `n` on.
    earliest_begin: Vec<u64>,
}

impl Writes {
    /// What ends something, which was not so before everything either.
    pub(crate) fn clears(spans: impl IntoIterator<Item = Span>) -> Self {
        let mut writes = Self { spans: spans.into_iter().chain([Span::START]).collect(), ..Self::default() };
        writes.sort();
        writes
    }

    fn sort(&mut self) {
        self.by_end = self.spans.clone();
        self.by_end.sort_by_key(|span| span.end);
        let mut latest = 0;
        let begins = self.by_end.iter().map(|span| span.begin);
        self.latest_begin = begins.clone().map(|begin| (latest = latest.max(begin), latest).1).collect();
        let mut earliest = u64::MAX;
        self.earliest_begin =
            begins.rev().map(|begin| (earliest = earliest.min(begin), earliest).1).collect();
        self.earliest_begin.reverse();
    }

    /// The begin of the latest write that had ended before a tick.
    fn latest_before(&self, tick: u64) -> Option<u64> {
        let ended = self.by_end.partition_point(|span| span.end < tick);
        self.latest_begin.get(ended.checked_sub(1)?).copied()
    }

    /// Whether a write may have come after all that began at `floor`, and before `end`.
    fn any_after(&self, floor: Option<u64>, end: u64) -> bool {
        let first = floor.map_or(0, |floor| self.by_end.partition_point(|span| span.end < floor));
        self.earliest_begin.get(first).is_some_and(|begin| *begin < end)
    }
}

/// What is known about such a thing. It is not so at first.
#[derive(Debug, Default)]
pub(crate) struct Register {
    /// Operations that surely made it so.
    sets: Writes,
    /// Operations that may have made it so.
    maybe: Writes,
    /// Operations that surely made it not so. Many things end together.
    clears: Rc<Writes>,
}

impl Register {
    /// The same with another end.
    pub(crate) fn ended_by(self, clears: Rc<Writes>) -> Self {
        let mut register = Self { clears, ..self };
        register.sets.sort();
        register.maybe.sort();
        register
    }

    pub(crate) fn set(&mut self, span: Span) {
        self.sets.spans.push(span);
    }

    pub(crate) fn maybe_set(&mut self, span: Span) {
        self.maybe.spans.push(span);
    }

    pub(crate) fn clear(&mut self, span: Span) {
        Rc::make_mut(&mut self.clears).spans.push(span);
    }

    /// To be called after the last change and before the first question.
    pub(crate) fn sort(&mut self) {
        self.clears = Rc::new(Writes::clears(self.clears.spans.iter().copied()));
        self.sets.sort();
        self.maybe.sort();
    }

    /// Whether it may have been so at some instant of the span.
    pub(crate) fn may_be(&self, span: Span) -> bool {
        // What had ended before a clear that had itself ended by then is of the past.
        let floor = self.clears.latest_before(span.begin);
        self.sets.any_after(floor, span.end) || self.maybe.any_after(floor, span.end)
    }

    /// Whether it may have been not so at some instant of the span.
    pub(crate) fn may_not_be(&self, span: Span) -> bool {
        self.clears.any_after(self.sets.latest_before(span.begin), span.end)
    }

    /// Whether it was so at every instant of the span, whatever the order of what overlapped.
    pub(crate) fn surely(&self, span: Span) -> bool {
        !self.may_not_be(span)
    }

    /// Two operations that each made it so although it was not so before, with nothing between them that ended it.
    pub(crate) fn set_twice(&self) -> Option<(Span, Span)> {
        /// How far apart two of them are looked at.
        const REACH: usize = 128;
        let mut sets = self.sets.spans.clone();
        sets.sort_by_key(|span| span.begin);
        for (first, span) in sets.iter().enumerate() {
            let mut near: Vec<Span> = sets[first..].iter().take(REACH).copied().collect();
            near.sort_by_key(|span| span.end);
            for (count, last) in near.iter().enumerate().skip(1) {
                let window = Span { begin: span.begin, end: last.end };
                if count > self.clears_within(window) {
                    return Some((*span, *last));
                }
            }
        }
        None
    }

    /// How many clears may have happened within a span.
    fn clears_within(&self, window: Span) -> usize {
        let over = self.clears.by_end.partition_point(|span| span.end <= window.begin);
        // Operations end in about the order in which they begin: long after the window's end there are none.
        let later = self.clears.earliest_begin.partition_point(|begin| *begin < window.end);
        self.clears.by_end[over..later.max(over)].iter().filter(|span| span.overlaps(window)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::{Register, Span};

    const fn span(begin: u64, end: u64) -> Span {
        Span { begin, end }
    }

    #[test]
    fn what_may_be() {
        // Sets, clears, the question, whether it may be so, whether it may be not so.
        type Case = (&'static str, &'static [Span], &'static [Span], Span, bool, bool);
        const CASES: &[Case] = &[
            ("nothing happened", &[], &[], span(1, 2), false, true),
            ("it was set before", &[span(1, 2)], &[], span(3, 4), true, false),
            ("it is set meanwhile", &[span(1, 4)], &[], span(2, 3), true, true),
            ("it is set later", &[span(3, 4)], &[], span(1, 2), false, true),
            ("it was cleared before", &[span(1, 2)], &[span(3, 4)], span(5, 6), false, true),
            ("it is cleared meanwhile", &[span(1, 2)], &[span(3, 6)], span(4, 5), true, true),
            ("set and cleared in either order", &[span(1, 4)], &[span(2, 3)], span(5, 6), true, true),
            ("set again", &[span(1, 2), span(5, 6)], &[span(3, 4)], span(7, 8), true, false),
            ("set again meanwhile", &[span(1, 2), span(5, 8)], &[span(3, 4)], span(6, 7), true, true),
        ];
        for (summary, sets, clears, question, so, not_so) in CASES {
            let mut register = Register::default();
            sets.iter().for_each(|span| register.set(*span));
            clears.iter().for_each(|span| register.clear(*span));
            register.sort();
            assert_eq!(register.may_be(*question), *so, "{summary}: may be");
            assert_eq!(register.may_not_be(*question), *not_so, "{summary}: may not be");
        }
    }

    #[test]
    fn what_may_have_been_set_is_never_sure() {
        let mut register = Register::default();
        register.maybe_set(span(1, 2));
        register.sort();
        assert!(register.may_be(span(3, 4)));
        assert!(!register.surely(span(3, 4)));
    }

    #[test]
    fn two_that_both_did_it() {
        type Case = (&'static str, &'static [Span], &'static [Span], bool);
        const CASES: &[Case] = &[
            ("side by side", &[span(1, 4), span(2, 3)], &[], true),
            ("one after another", &[span(1, 2), span(3, 4)], &[], true),
            ("with an end between", &[span(1, 2), span(5, 6)], &[span(3, 4)], false),
            ("with an end that may be between", &[span(1, 5), span(2, 4)], &[span(3, 6)], false),
            ("three with one end", &[span(1, 2), span(3, 4), span(7, 8)], &[span(5, 6)], true),
            ("an end after both", &[span(1, 4), span(2, 3)], &[span(5, 6)], true),
        ];
        for (summary, sets, clears, twice) in CASES {
            let mut register = Register::default();
            sets.iter().for_each(|span| register.set(*span));
            clears.iter().for_each(|span| register.clear(*span));
            register.sort();
            assert_eq!(register.set_twice().is_some(), *twice, "{summary}");
        }
    }
}
