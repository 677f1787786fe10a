//! `scratchpack man`: the manual page, of what the parser knows and of what only words tell.

mod words;

use std::collections::HashSet;
use std::io::{self, Write};

use clap::{Arg, Command, CommandFactory};
use roff::{Inline, Roff, bold, italic, roman};

use super::Failure;
use super::args::Arguments;
use words::Section;

pub(crate) fn run() -> Result<(), Failure> {
    let mut command = Arguments::command();
    command.build();
    Ok(io::stdout().lock().write_all(page(&command).as_bytes())?)
}

fn page(command: &Command) -> String {
    let mut page = Page { roff: Roff::new(), is_behind_heading: false, told: HashSet::new() };
    let version = format!("scratchpack {}", command.get_version().unwrap_or_default());
    // The same version has the same page, so it has no date.
    page.roff.control("TH", ["SCRATCHPACK", "1", "\"\"", &version, "User Commands"]);
    page.section("NAME").paragraph(vec![roman(format!("scratchpack - {}", words::NAME))]);
    page.section("SYNOPSIS");
    let commands: Vec<&Command> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    commands.iter().for_each(|command| page.synopsis(command));
    page.section("DESCRIPTION");
    words::DESCRIPTION.iter().for_each(|words| page.paragraph(vec![roman(*words)]));
    page.section("COMMANDS");
    commands.iter().for_each(|command| page.command(command));
    words::SECTIONS.iter().for_each(|section| page.list(section));
    page.section("SEE ALSO").paragraph(vec![roman(words::SEE_ALSO)]);
    page.roff.to_roff()
}

struct Page {
    roff: Roff,
    is_behind_heading: bool,
    /// Options, by what is said of them.
    told: HashSet<(String, String)>,
}

impl Page {
    fn section(&mut self, name: &str) -> &mut Self {
        self.heading("SH", name);
        self
    }

    fn heading(&mut self, macro_name: &str, name: &str) {
        self.roff.control(macro_name, [name]);
        self.is_behind_heading = true;
    }

    /// Text behind a heading is a paragraph by itself.
    fn paragraph(&mut self, words: Vec<Inline>) {
        self.text_behind("PP", words);
    }

    fn text_behind(&mut self, macro_name: &str, words: Vec<Inline>) {
        if !std::mem::take(&mut self.is_behind_heading) {
            self.roff.control(macro_name, []);
        }
        self.roff.text(words);
    }

    fn synopsis(&mut self, command: &Command) {
        for usage in usages(command) {
            let rest = usage.strip_prefix("scratchpack ").unwrap_or(&usage).to_owned();
            self.text_behind("br", vec![bold("scratchpack"), roman(format!(" {rest}"))]);
        }
    }

    fn command(&mut self, command: &Command) {
        self.heading("SS", &format!("scratchpack {}", command.get_name()));
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        self.paragraph(vec![roman(sentence(&about))]);
        let of_all = |option: &&&Arg| !matches!(option.get_id().as_str(), "help" | "version");
        let arguments: Vec<&Arg> = in_order(command);
        let (again, new): (Vec<&Arg>, Vec<&Arg>) =
            arguments.iter().filter(of_all).partition(|argument| self.told.contains(&what_is_said(argument)));
        let mut heading = None;
        for argument in new {
            if heading != argument.get_help_heading() {
                heading = argument.get_help_heading();
                self.paragraph(vec![bold(heading.unwrap_or_default())]);
            }
            self.argument(argument);
        }
        self.again(&again);
    }

    /// What means the same for a command before.
    fn again(&mut self, options: &[&Arg]) {
        if options.is_empty() {
            return;
        }
        let mut line = vec![roman("As for the commands before: ")];
        for (number, option) in options.iter().enumerate() {
            line.extend((number > 0).then(|| roman(", ")));
            line.extend(head(option));
        }
        self.paragraph(line);
    }

    fn argument(&mut self, argument: &Arg) {
        self.told.insert(what_is_said(argument));
        self.roff.control("TP", []).text(head(argument));
        let said = said(argument);
        let mut paragraphs = said.split("\n\n");
        self.roff.text([roman(sentence(paragraphs.next().unwrap_or_default()))]);
        for paragraph in paragraphs.map(sentence).chain(values(argument)) {
            self.roff.control("IP", []).text([roman(paragraph)]);
        }
    }

    fn list(&mut self, section: &Section) {
        self.section(section.name);
        for (term, words) in section.entries {
            self.roff.control("TP", []).text([bold(*term)]).text([roman(*words)]);
        }
    }
}

fn usages(command: &Command) -> Vec<String> {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").lines().map(|line| line.trim().to_owned()).collect()
}

/// As the help has them: what stands alone, what has no heading, and the headings as they come.
fn in_order(command: &Command) -> Vec<&Arg> {
    let mut arguments: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    let mut headings = vec![None];
    for heading in arguments.iter().map(|argument| argument.get_help_heading()) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    arguments.sort_by_key(|argument| {
        let heading = headings.iter().position(|heading| *heading == argument.get_help_heading());
        (!argument.is_positional(), heading, argument.get_display_order())
    });
    arguments
}

fn what_is_said(argument: &Arg) -> (String, String) {
    (argument.get_id().to_string(), said(argument))
}

fn said(argument: &Arg) -> String {
    argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default()
}

/// The parser takes the full stop from what is one sentence.
fn sentence(words: &str) -> String {
    if words.ends_with(['.', '?']) { words.to_owned() } else { format!("{words}.") }
}

/// `-o, --output OUT`
fn head(argument: &Arg) -> Vec<Inline> {
    let mut head = Vec::new();
    head.extend(argument.get_short().map(|short| bold(format!("-{short}"))));
    head.extend((head.len() == 1).then(|| roman(", ")));
    head.extend(argument.get_long().map(|long| bold(format!("--{long}"))));
    let names = argument.get_value_names().filter(|_| argument.get_action().takes_values());
    head.extend((!head.is_empty() && names.is_some()).then(|| roman(" ")));
    head.extend(names.map(|names| italic(names.concat())));
    head
}

/// What it can be, and what it is by default.
fn values(argument: &Arg) -> Option<String> {
    if !argument.get_action().takes_values() {
        return None;
    }
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let possible = (!possible.is_empty()).then(|| format!("One of {}.", possible.join(", ")));
    let default = (!default.is_empty()).then(|| format!("By default {}.", default.concat()));
    let words: Vec<String> = possible.into_iter().chain(default).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
