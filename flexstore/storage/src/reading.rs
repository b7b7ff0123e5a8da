//! Which engines this thread is reading in.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

type Entry = (usize, Arc<dyn Any + Send + Sync>);

thread_local! {
    static READING: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// The engine of the store at this address, if this thread is inside a read of it.
pub(crate) fn engine<B: Send + Sync + 'static>(store: usize) -> Option<Arc<B>> {
    let engine = READING.with_borrow(|reading| {
        let entry = reading.iter().rfind(|(place, _)| *place == store)?;
        Some(Arc::clone(&entry.1))
    });
    engine?.downcast().ok()
}

/// Notes that this thread reads, until the guard is dropped.
pub(crate) fn enter<B: Send + Sync + 'static>(store: usize, engine: Arc<B>) -> Reading {
    READING.with_borrow_mut(|reading| reading.push((store, engine)));
    Reading(PhantomData)
}

/// Stays on its thread.
pub(crate) struct Reading(PhantomData<*const ()>);

impl Drop for Reading {
    fn drop(&mut self) {
        // Out of the borrow before the engine goes, should this be its last owner.
        let last = READING.with_borrow_mut(Vec::pop);
        drop(last);
    }
}
