//! What a program tells about itself: `Debug` and `Display`, events, panics.

use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Text that comes in from all threads.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<u8>>>);

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Told {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }

    /// All events of this process, at the most verbose level, go here.
    pub(crate) fn take_events(&self) {
        let told = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || told.clone())
            .init();
    }

    /// What panics say goes here, too.
    pub(crate) fn take_panics(&self) {
        let told = self.clone();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = writeln!(told.clone(), "{panic}");
            before(panic);
        }));
    }

    pub(crate) fn debug(&self, what: &dyn Debug) {
        writeln!(self.clone(), "{what:?} {what:#?}").unwrap();
    }

    /// An error and what it comes from.
    pub(crate) fn error<E: Error>(&self, error: &E) {
        let mut next: Option<&dyn Error> = Some(error);
        self.debug(&error);
        while let Some(error) = next {
            writeln!(self.clone(), "{error}").unwrap();
            self.debug(&error);
            next = error.source();
        }
    }

    /// The error of a result that must be one.
    #[track_caller]
    pub(crate) fn refused<T, E: Error>(&self, result: Result<T, E>) {
        match result {
            Ok(_) => panic!("not refused"),
            Err(error) => self.error(&error),
        }
    }
}
