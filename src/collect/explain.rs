//! Why an object is in the image: every chain of requests that leads from the program to it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use super::closure::{Closure, Object, Request};
use crate::text::printable;
use crate::trace::{Attempt, Rule, fmt_attempts};

/// Chains that are told at most, the shortest first. There can be more of them than anyone reads.
const MAX_CHAINS: usize = 1_000;

/// Links of the longest chain that is told.
const MAX_LENGTH: usize = 500;

/// Steps of the search for chains, after which it is given up.
const MAX_STEPS: usize = 1_000_000;

/// Why one object is in the image. Made by [`Closure::explain`].
#[derive(Clone, Debug)]
pub struct Explanation<'c> {
    object: &'c Object,
    chains: Vec<Vec<Link<'c>>>,
    is_complete: bool,
}

/// One object asking for another.
#[derive(Clone, Copy, Debug)]
pub struct Link<'c> {
    requester: &'c Object,
    /// `None` for the program's `PT_INTERP`.
    request: Option<&'c Request>,
    object: &'c Object,
}

impl Closure {
    /// Why the objects of this name are in the image: a name by which one was asked for, a soname, a file name, or a path
    /// in the image, in the source root or on this machine. Empty where there is none.
    ///
    /// ```no_run
    /// let closure = scratchpack::Closure::of("/usr/bin/git")?;
    /// for explanation in closure.explain("libc.so.6") {
    ///     println!("{explanation}");
    /// }
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn explain(&self, name: impl AsRef<OsStr>) -> Vec<Explanation<'_>> {
        let name = name.as_ref();
        let graph = Graph::of(self);
        let wanted = self.all().enumerate().filter(|(_, object)| graph.answers_to(object, name));
        wanted.map(|(number, object)| graph.explain(number, object)).collect()
    }

    /// The objects by which the loader comes to one first: the program before all, that itself behind them.
    pub(crate) fn chain<'c>(&'c self, object: &'c Object) -> Vec<&'c Object> {
        let mut chain = vec![object];
        let needer = |object: &Object| object.needed_by().next().and_then(|path| self.object_at(path));
        // What the caller asks for may be needed by nothing but what it needs itself.
        while let Some(next) = needer(chain[chain.len() - 1])
            && !chain.iter().any(|known| known.path() == next.path())
        {
            chain.push(next);
        }
        if chain[chain.len() - 1].path() != self.program().path() {
            chain.push(self.program());
        }
        chain.reverse();
        chain
    }
}

impl<'c> Explanation<'c> {
    /// What is explained.
    pub fn object(&self) -> &'c Object {
        self.object
    }

    /// Every chain of links from the program to the object, the shortest first; none for the program itself.
    pub fn chains(&self) -> &[Vec<Link<'c>>] {
        &self.chains
    }

    /// Whether these are all chains. Of more than 1,000 the rest is left out.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Every link of the chains, each once, in the order in which the chains have them.
    pub fn links(&self) -> Vec<Link<'c>> {
        let mut links: Vec<Link<'c>> = Vec::new();
        for link in self.chains.iter().flatten() {
            if !links.iter().any(|known| known.is_same(link)) {
                links.push(*link);
            }
        }
        links
    }
}

impl<'c> Link<'c> {
    /// Who asks.
    pub fn requester(&self) -> &'c Object {
        self.requester
    }

    /// The name that is asked for, tokens expanded; the interpreter's path for `PT_INTERP`.
    pub fn name(&self) -> &'c OsStr {
        self.request.map_or_else(|| self.object.name(), Request::name)
    }

    /// What answers.
    pub fn object(&self) -> &'c Object {
        self.object
    }

    /// The rule by which it was found.
    pub fn rule(&self) -> Rule {
        self.request.map_or(Rule::Interpreter, Request::rule)
    }

    /// The places that were tried before.
    pub fn tried(&self) -> &'c [Attempt] {
        self.request.map(Request::tried).unwrap_or_default()
    }

    fn is_same(&self, other: &Link<'_>) -> bool {
        self.requester.path() == other.requester.path()
            && self.name() == other.name()
            && self.object.path() == other.object.path()
    }
}

/// Who asks for whom. Objects have the numbers of [`Closure::object`].
struct Graph<'c> {
    links: Vec<Vec<(usize, Link<'c>)>>,
}

impl<'c> Graph<'c> {
    fn of(closure: &'c Closure) -> Self {
        let numbers: HashMap<&Path, usize> =
            closure.all().enumerate().map(|(number, object)| (object.path(), number)).collect();
        let links = |requester: &'c Object| {
            let answered = requester.requests().iter().filter_map(|request| {
                let number = *numbers.get(request.path()?)?;
                Some((number, Link { requester, request: Some(request), object: closure.object(number) }))
            });
            answered.collect::<Vec<_>>()
        };
        let mut links: Vec<Vec<_>> = closure.all().map(links).collect();
        if let Some(object) = closure.interpreter() {
            let requester = closure.program();
            links[0].insert(0, (numbers[object.path()], Link { requester, request: None, object }));
        }
        Graph { links }
    }

    fn answers_to(&self, object: &Object, name: &OsStr) -> bool {
        let paths = [object.path(), object.opened(), &object.source(), &object.opened_on_machine()];
        let is_file = |path: &Path| path.as_os_str() == name || path.file_name() == Some(name);
        paths.into_iter().any(is_file)
            || object.name() == name
            || object.elf().soname() == Some(name)
            || self.links.iter().flatten().any(|(_, link)| link.object.path() == object.path() && link.name() == name)
    }

    fn explain(&self, number: usize, object: &'c Object) -> Explanation<'c> {
        let mut search = Search {
            graph: self,
            target: number,
            distances: self.distances(number),
            visited: vec![false; self.links.len()],
            path: Vec::new(),
            chains: Vec::new(),
            steps: MAX_STEPS,
        };
        let shortest = search.distances[0].filter(|&distance| distance > 0);
        let lengths = shortest.into_iter().flat_map(|shortest| shortest..self.links.len());
        lengths.clone().take_while(|&length| length <= MAX_LENGTH).for_each(|length| search.from(0, length));
        let is_cut = lengths.last().is_some_and(|longest| longest > MAX_LENGTH);
        let is_complete = search.chains.len() < MAX_CHAINS && search.steps > 0 && !is_cut;
        Explanation { object, chains: search.chains, is_complete }
    }

    /// How many links each object is away from `target` at least.
    fn distances(&self, target: usize) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.links.len()];
        distances[target] = Some(0);
        let mut reached = vec![target];
        let mut at = 0;
        while let Some(&object) = reached.get(at) {
            for (requester, links) in self.links.iter().enumerate() {
                if distances[requester].is_none() && links.iter().any(|(number, _)| *number == object) {
                    distances[requester] = distances[object].map(|distance: usize| distance + 1);
                    reached.push(requester);
                }
            }
            at += 1;
        }
        distances
    }
}

/// Looks for chains in which no object comes twice, of one length after the other.
struct Search<'g, 'c> {
    graph: &'g Graph<'c>,
    target: usize,
    distances: Vec<Option<usize>>,
    visited: Vec<bool>,
    path: Vec<Link<'c>>,
    chains: Vec<Vec<Link<'c>>>,
    steps: usize,
}

impl<'c> Search<'_, 'c> {
    /// Chains that go on from `object` with `length` more links.
    fn from(&mut self, object: usize, length: usize) {
        self.visited[object] = true;
        let graph = self.graph;
        for (next, link) in &graph.links[object] {
            let is_near = self.distances[*next].is_some_and(|distance| distance < length);
            let is_end = *next == self.target;
            if self.visited[*next] || !is_near || is_end != (length == 1) || self.is_over() {
                continue;
            }
            self.steps -= 1;
            self.path.push(*link);
            if is_end {
                self.chains.push(self.path.clone())
            } else {
                self.from(*next, length - 1)
            }
            self.path.pop();
        }
        self.visited[object] = false;
    }

    fn is_over(&self) -> bool {
        self.steps == 0 || self.chains.len() == MAX_CHAINS
    }
}

impl Display for Explanation<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(self.object.path()))?;
        if self.chains.is_empty() {
            return f.write_str(" is the program itself");
        }
        write!(f, " is {} on this machine, and in the image because of", printable(&self.object.source()))?;
        for chain in &self.chains {
            write!(f, "\n  {}", printable(chain[0].requester.path()))?;
            chain.iter().try_for_each(|link| write!(f, " -> {} [{}]", printable(link.name()), link.rule().code()))?;
        }
        if !self.is_complete {
            f.write_str("\n  and more chains than these")?;
        }
        self.links().iter().filter(|link| !link.tried().is_empty()).try_for_each(|link| {
            let (requester, name) = (printable(link.requester.path()), printable(link.name()));
            write!(f, "\nfor {requester}, {name} was looked for in vain at")?;
            fmt_attempts(f, link.tried())
        })
    }
}
