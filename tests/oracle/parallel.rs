//! Many items at once.

use std::thread;

/// What `ask` has to say of the items, in their order.
pub(crate) fn in_parallel<T: Sync, A: Send>(items: &[T], ask: impl Fn(&T) -> Option<A> + Sync) -> Vec<A> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let size = items.len().div_ceil(threads).max(1);
    let ask = &ask;
    thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(size)
            .map(|chunk| scope.spawn(move || chunk.iter().filter_map(ask).collect::<Vec<A>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}
