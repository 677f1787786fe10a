//! A bar for whoever waits at a terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use scratchpack::{ImageBuilder, Progress, Stage};

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shown on a terminal, for work that takes longer; gone when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for the image of this builder, which is quiet where nobody looks.
    pub(crate) fn of(builder: &mut ImageBuilder, is_quiet: bool) -> Bar {
        let bar = ProgressBar::hidden();
        if !is_quiet && io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            let (bar, started) = (bar.clone(), Instant::now());
            builder.progress(move |progress| show(&bar, started, progress));
        }
        Bar(bar)
    }
}

fn show(bar: &ProgressBar, started: Instant, progress: Progress) {
    if started.elapsed() < PATIENCE {
        return;
    }
    if bar.is_hidden() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    match progress.stage() {
        Stage::Pack => {
            bar.set_message("packing");
            bar.set_length(progress.total());
            bar.set_position(progress.done());
        }
        Stage::Sync => bar.set_message("waiting for the disk"),
        _ => {}
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
