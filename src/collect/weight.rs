//! What each object of a closure adds in bytes: by itself, and with what nobody else needs.
//!
//! An object dominates another if every chain from the program to that leads through it; what an object dominates goes when
//! it goes. (K. D. Cooper, T. J. Harvey, K. Kennedy: "A Simple, Fast Dominance Algorithm", 2001.)

use std::collections::HashMap;
use std::path::Path;

use super::closure::{Closure, Object};
use super::process::PROGRAM;

/// What one object adds to an image.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'c> {
    object: &'c Object,
    whole: u64,
    through: Option<&'c Object>,
}

impl<'c> Weight<'c> {
    /// The object.
    pub fn object(&self) -> &'c Object {
        self.object
    }

    /// The bytes of its file.
    pub fn own(&self) -> u64 {
        self.object.size()
    }

    /// The bytes of its file, and of those that would not be needed without it.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// The nearest library through which alone the program comes to need it; `None` where the program itself names it, or
    /// several ways lead to it that have nothing but the program in common.
    pub fn only_through(&self) -> Option<&'c Object> {
        self.through
    }
}

impl Closure {
    /// What each object adds to an image, the program's file included: what would save most if it were not needed first,
    /// and of equals the bytewise first path.
    pub fn weights(&self) -> Vec<Weight<'_>> {
        let objects: Vec<&Object> = self.all().collect();
        let dominators = dominators(&needers(&objects));
        let mut whole: Vec<u64> = objects.iter().map(|object| object.size()).collect();
        for &object in dominators.order.iter().rev().filter(|&&object| object != PROGRAM) {
            whole[dominators.nearest[object]] += whole[object];
        }
        let weight = |number: usize| {
            let through = Some(dominators.nearest[number]).filter(|&nearest| nearest != PROGRAM);
            Weight { object: objects[number], whole: whole[number], through: through.map(|nearest| objects[nearest]) }
        };
        let mut weights: Vec<Weight<'_>> = (0..objects.len()).map(weight).collect();
        weights.sort_by(|one, two| (two.whole, one.object.path()).cmp(&(one.whole, two.object.path())));
        weights
    }
}

/// Who needs each object; what nobody names, the program does.
fn needers(objects: &[&Object]) -> Vec<Vec<usize>> {
    let numbers: HashMap<&Path, usize> = objects.iter().enumerate().map(|(at, object)| (object.path(), at)).collect();
    let of = |object: &&Object| {
        let needers: Vec<usize> = object.needed_by().filter_map(|path| numbers.get(path).copied()).collect();
        if needers.is_empty() { vec![PROGRAM] } else { needers }
    };
    objects.iter().map(of).collect()
}

struct Dominators {
    /// The nearest one of each object; the program's is itself.
    nearest: Vec<usize>,
    /// All objects, each behind its nearest one.
    order: Vec<usize>,
}

fn dominators(needers: &[Vec<usize>]) -> Dominators {
    let order = reverse_postorder(needers);
    let mut rank = vec![0; needers.len()];
    order.iter().enumerate().for_each(|(at, &object)| rank[object] = at);
    let mut nearest: Vec<Option<usize>> = vec![None; needers.len()];
    nearest[PROGRAM] = Some(PROGRAM);
    let mut has_changed = true;
    while std::mem::take(&mut has_changed) {
        for &object in order.iter().filter(|&&object| object != PROGRAM) {
            let known = needers[object].iter().copied().filter(|&needer| nearest[needer].is_some());
            let new = known.reduce(|one, two| common(one, two, &nearest, &rank));
            has_changed |= new != nearest[object];
            nearest[object] = new;
        }
    }
    Dominators { nearest: nearest.into_iter().map(|nearest| nearest.unwrap_or(PROGRAM)).collect(), order }
}

/// The nearest that dominates both.
fn common(mut one: usize, mut two: usize, nearest: &[Option<usize>], rank: &[usize]) -> usize {
    while one != two {
        let farther = if rank[one] > rank[two] { &mut one } else { &mut two };
        *farther = nearest[*farther].unwrap_or(PROGRAM);
    }
    one
}

/// From the program on; in a graph without circles, each behind all that need it.
fn reverse_postorder(needers: &[Vec<usize>]) -> Vec<usize> {
    let mut needed = vec![Vec::new(); needers.len()];
    for (object, needers) in needers.iter().enumerate() {
        needers.iter().for_each(|&needer| needed[needer].push(object));
    }
    let mut seen = vec![false; needers.len()];
    seen[PROGRAM] = true;
    let mut order = Vec::with_capacity(needers.len());
    let mut path = vec![(PROGRAM, 0)];
    while let Some((object, next)) = path.last_mut() {
        match needed[*object].get(*next) {
            Some(&deeper) => {
                *next += 1;
                if !std::mem::replace(&mut seen[deeper], true) {
                    path.push((deeper, 0));
                }
            }
            None => {
                order.push(*object);
                path.pop();
            }
        }
    }
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use super::dominators;

    #[test]
    fn what_every_chain_leads_through_dominates() {
        // 0 needs 1 and 2; both need 3, which needs 4; 2 alone needs 5; 5 and 6 need each other.
        let needers = [vec![0], vec![0], vec![0], vec![1, 2], vec![3], vec![2, 6], vec![5]];
        assert_eq!(dominators(&needers).nearest, [0, 0, 0, 0, 3, 2, 5]);
    }

    /// All closures of a program and three others, checked against the definition: without what dominates it, nothing
    /// leads to an object.
    #[test]
    fn dominators_are_what_nothing_is_reached_without() {
        const OBJECTS: usize = 4;
        let of = |set: usize| (0..OBJECTS).filter(|object| set >> object & 1 == 1).collect::<Vec<usize>>();
        for sets in 0..1 << (3 * OBJECTS) {
            let needers = [vec![0], of(sets & 15), of(sets >> 4 & 15), of(sets >> 8)];
            if (1..OBJECTS).any(|object| !reaches(&needers, object, OBJECTS)) {
                continue;
            }
            let nearest = dominators(&needers).nearest;
            for object in 1..OBJECTS {
                let chain = std::iter::successors(Some(nearest[object]), |&at| (at != 0).then(|| nearest[at]));
                let dominating: Vec<usize> = chain.collect();
                for other in (1..OBJECTS).filter(|&other| other != object) {
                    assert_eq!(dominating.contains(&other), !reaches(&needers, object, other), "{needers:?} {object}");
                }
            }
        }
    }

    /// Whether a chain leads from the program to `object` that does without `other`.
    fn reaches(needers: &[Vec<usize>], object: usize, other: usize) -> bool {
        let mut seen = vec![false; needers.len()];
        let mut stack = vec![object];
        while let Some(at) = stack.pop() {
            if at == 0 {
                return true;
            }
            if at != other && !std::mem::replace(&mut seen[at], true) {
                stack.extend(&needers[at]);
            }
        }
        false
    }
}
