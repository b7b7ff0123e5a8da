//! Spans of time.

/// The times (ms since 1970) at which what a key signed counts: spans from a time to before
/// another, ascending, apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence(Vec<(u64, u64)>);

impl Presence {
    /// At no time.
    #[must_use]
    pub const fn never() -> Self {
        Self(Vec::new())
    }

    /// All but these gaps, in any order, perhaps overlapping.
    #[must_use]
    pub fn except(mut gaps: Vec<(u64, u64)>) -> Self {
        gaps.sort_unstable();
        let mut spans = Vec::new();
        let mut from = 0;
        for (start, end) in gaps {
            if start > from {
                spans.push((from, start));
            }
            from = from.max(end);
        }
        if from < u64::MAX {
            spans.push((from, u64::MAX));
        }
        Self(spans)
    }

    /// Whether a time is in it.
    #[must_use]
    pub fn contains(&self, time: u64) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= time);
        after > 0 && time < self.0[after - 1].1
    }

    /// The spans.
    #[must_use]
    pub fn spans(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// The times in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (mut i, mut j, mut spans) = (0, 0, Vec::new());
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start < end {
                spans.push((start, end));
            }
            if a.1 < b.1 {
                i += 1;
            } else {
                j += 1;
            }
        }
        Self(spans)
    }

    /// The times in one or the other.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut all: Vec<(u64, u64)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for (start, end) in all {
            match spans.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => spans.push((start, end)),
            }
        }
        Self(spans)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gaps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let gap = (0u64..20, 1u64..8).prop_map(|(start, len)| (start, start + len));
        prop::collection::vec(gap, 0..5)
    }

    proptest! {
        #[test]
        fn means_what_it_says(a in gaps(), b in gaps(), time in 0u64..30) {
            let outside = |gaps: &[(u64, u64)]| gaps.iter().all(|(s, e)| time < *s || time >= *e);
            let (in_a, in_b) = (outside(&a), outside(&b));
            let (a, b) = (Presence::except(a), Presence::except(b));
            prop_assert_eq!(a.contains(time), in_a);
            prop_assert_eq!(a.and(&b).contains(time), in_a && in_b);
            prop_assert_eq!(a.or(&b).contains(time), in_a || in_b);
            prop_assert_eq!(a.or(&b), b.or(&a));
        }
    }
}
