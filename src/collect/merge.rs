//! Several runs of one program's loader put together: for other kinds of CPU, and the namespaces of auditing objects.

use super::process::{INTERPRETER, Loaded, Loading, PROGRAM, RelativeElement, Requested};
use super::search::{Anchor, Found, Place};

/// Adds what `other`, a run of the same program and interpreter, has and `into` has not.
pub(super) fn merge(into: &mut Loading, other: Loading) {
    let known = into.files();
    let mut next = into.objects.len();
    let numbers: Vec<usize> = (0..other.objects.len())
        .map(|index| match known.get(&other.objects[index].opened.parsed.stamp.id) {
            _ if index <= INTERPRETER => index,
            Some(&same) if same != PROGRAM => same,
            _ => {
                next += 1;
                next - 1
            }
        })
        .collect();
    for (index, object) in other.objects.into_iter().enumerate() {
        let object = renumbered(object, &numbers);
        match into.objects.get_mut(numbers[index]) {
            Some(known) => join(known, object),
            None => into.objects.push(object),
        }
    }
    let new = other.order.into_iter().map(|index| numbers[index]);
    let new: Vec<usize> = new.filter(|index| !into.order.contains(index) && *index > INTERPRETER).collect();
    into.order.extend(new);
    let relative = other.relative.into_iter();
    let relative = relative.map(|element| RelativeElement { owner: numbers[element.owner], ..element });
    add_new(&mut into.relative, relative);
    for missing in other.not_found {
        let needed_by = missing.needed_by.clone();
        needed_by.into_iter().for_each(|index| into.note_missing(numbers[index], missing.clone()));
    }
    let excluded = other.excluded.into_iter().map(|(object, name)| (numbers[object], name));
    add_new(&mut into.excluded, excluded);
    add_new(&mut into.unloaded, other.unloaded.into_iter());
    into.uses_platform |= other.uses_platform;
    into.excess = into.excess.take().or(other.excess);
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, others: impl Iterator<Item = T>) {
    for other in others {
        if !known.contains(&other) {
            known.push(other);
        }
    }
}

/// The same with the numbers of its new surroundings.
fn renumbered(mut object: Loaded, numbers: &[usize]) -> Loaded {
    object.loader = object.loader.map(|loader| numbers[loader]);
    renumber(&mut object.place, numbers);
    object.aliases.iter_mut().for_each(|alias| renumber(&mut alias.place, numbers));
    for request in &mut object.requests {
        request.object = request.object.map(|target| numbers[target]);
    }
    object
}

fn renumber(place: &mut Place, numbers: &[usize]) {
    if let Anchor::Origin { owner, .. } = &mut place.anchor {
        *owner = numbers[*owner];
    }
}

/// One file in both runs: its other paths, and the answers that it got in one run only.
fn join(known: &mut Loaded, again: Loaded) {
    let Loaded { place, rule, opened, variant, is_only_variant, aliases, requests, .. } = again;
    let again = Found { place, rule, opened, variant, is_only_variant };
    for alias in std::iter::once(again).chain(aliases) {
        let is_new = known.place != alias.place && known.aliases.iter().all(|known| known.place != alias.place);
        if is_new {
            known.aliases.push(alias);
        }
    }
    for request in requests {
        let is_same = |known: &Requested| (known.asked, known.object) == (request.asked, request.object);
        if !known.requests.iter().any(is_same) {
            known.requests.push(request);
        }
    }
}
