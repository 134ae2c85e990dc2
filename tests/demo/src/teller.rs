//! Tells the story as a timeline.

use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::time::Instant;

use e2e::{Scene, System};

/// Prints what happens, with the time since the beginning.
pub(crate) struct Teller {
    begin: Instant,
    scenes: u32,
    is_bright: bool,
}

impl Teller {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), scenes: 0, is_bright: std::io::stdout().is_terminal() }
    }

    /// One line about the stage itself.
    pub(crate) fn say(&mut self, text: &str) {
        line(&format!("{:>8}  {text}", self.clock()));
    }

    /// One scene with what was seen of it.
    pub(crate) fn tell(&mut self, scene: &Scene) {
        self.scenes += 1;
        let (on, off) = if self.is_bright { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        let took = scene.took.as_secs_f64();
        line(&format!("\n{:>8}  {on}{}. {}{off}  ({took:.2} s)", self.clock(), self.scenes, scene.title));
        for fact in &scene.facts {
            line(&format!("          ✓ {fact}"));
        }
        if self.scenes == 5 {
            line("");
        }
    }

    fn clock(&self) -> String {
        format!("{:.1} s", self.begin.elapsed().as_secs_f64())
    }
}

/// A line for people. A reader that went away is no error.
pub(crate) fn line(text: &str) {
    let _closed = writeln!(std::io::stdout(), "{text}");
}

/// What a panic says.
pub(crate) fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("something failed without a word")
}

/// Where to look while the demo is up.
pub(crate) fn where_to_look(system: &System, owner: (&str, &str)) {
    line("\nLook around; Ctrl-C ends everything and tidies up.");
    line(&format!("  console          {}", system.at("admin", "/admin")));
    line(&format!("                   log in as {} with {}", owner.0, owner.1));
    line(&format!("  inbox            {}", system.sim.at("/_sim/inbox")));
    line(&format!("  what providers   {}", system.sim.at("/_sim/activity")));
    line("  were asked");
    line(&format!("  an offer         {}", system.at("redirector", &format!("/out/{}", system.cast.offer))));
}
